"""Many windows of one clip: each frame and each sample is decoded once, however many windows there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from limbeck.data.media import MARGIN, PREROLL, WARM, Clip
from limbeck.errors import DataError

__all__ = ["Reel", "Reels", "covered"]

Array = np.ndarray[Any, Any]


class Reel(Clip):
    """A clip that is read onwards from ``begin`` seconds; windows are asked for in ascending order.

    What a window gives depends on ``begin`` alone and not on which windows were read before, so that a preparation
    that was killed goes on with the same bytes. A window before the last one is found, too, by starting over.
    """

    def __init__(self, path: str | Path, begin: float, *, first_channel: bool = False) -> None:
        super().__init__(path, first_channel=first_channel)
        self._begin = begin
        # the sound is read by itself: seeking moves every stream of a container
        self._ear = Clip(path, first_channel=first_channel)
        self._length = super().duration
        self._pictures: Iterator[tuple[float, Any]] | None = None
        self._shown: tuple[float, Any] | None = None
        self._ahead: tuple[float, Any] | None = None
        self._sounds: Iterator[tuple[int, Array]] | None = None
        self._kept: deque[tuple[int, Array]] = deque()
        self._gone = self._end = 0  # numbers of the first sample that is still kept and of the next to come

    @property
    def duration(self) -> float:
        return self._length

    # -- picture ---------------------------------------------------------------------------------------------------

    def _frame_at(self, moment: float) -> Any:
        late = moment + self._step / 100
        if self._pictures is None or (self._shown is not None and self._shown[0] > late):
            sought = self._rewind_pictures(self._begin)
            if sought and (self._ahead is None or self._ahead[0] > late):
                self._rewind_pictures(0)  # the seek went too far
        assert self._pictures is not None
        shown, ahead = self._shown, self._ahead
        while ahead is not None and (ahead[0] <= late or shown is None):
            shown, ahead = ahead, next(self._pictures, None)
        self._shown, self._ahead = shown, ahead
        if shown is None:
            return None
        if ahead is None:
            self._check_picture(shown[0], moment)
        return shown[1]

    def _rewind_pictures(self, begin: float) -> bool:
        """Start over; whether ``begin`` was sought."""
        sought = self._go_to(self._video, begin)
        self._pictures = self._frames()
        self._shown, self._ahead = None, next(self._pictures, None)
        return sought

    # -- sound -----------------------------------------------------------------------------------------------------

    def _samples(self, rate: int, first: int, last: int) -> Array:
        result = np.zeros(last - first, np.float32)
        with self._reading("the sound cannot be decoded"):
            if self._sounds is None or first < self._gone:
                self._rewind_sounds(rate)
            assert self._sounds is not None
            while self._end < last and (block := next(self._sounds, None)) is not None:
                self._keep(block)
        while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= first:
            position, mono = self._kept.popleft()
            self._gone = position + len(mono)
        for position, mono in self._kept:
            low, high = max(position, first), min(position + len(mono), last)
            if low < high:
                result[low - first : high - first] = mono[low - position : high - position]
        return self._checked(result, rate, self._end, last)

    def _rewind_sounds(self, rate: int) -> None:
        """Decoding begins early enough for a window at ``begin``, whichever window is wanted now."""
        self._kept.clear()
        self._gone = self._end = 0
        sought = self._ear._go_to(self._ear._audio, self._begin - PREROLL)
        self._sounds = self._ear._blocks(rate)
        block = next(self._sounds, None)
        if sought and (block is None or block[0] > (self._begin - MARGIN - WARM) * rate):
            self._ear._go_to(self._ear._audio, 0)
            self._sounds = self._ear._blocks(rate)
            block = next(self._sounds, None)
        if block is not None:
            self._keep(block)

    def _keep(self, block: tuple[int, Array]) -> None:
        self._kept.append(block)
        self._end = block[0] + len(block[1])

    def close(self) -> None:
        super().close()
        self._ear.close()


class Reels:
    """The reel that is being read; another clip or beginning takes its place. Use as a context manager.

    ``first_channel``: as of a :class:`Clip`.
    """

    def __init__(self, *, first_channel: bool = False) -> None:
        self._first_channel = first_channel
        self._key: tuple[Path, float] | None = None
        self._reel: Reel | None = None

    def get(self, path: Path, begin: float) -> Reel:
        if self._key != (path, begin) or self._reel is None:
            self.close()
            self._reel = Reel(path, begin, first_channel=self._first_channel)
            self._key = (path, begin)
        return self._reel

    def close(self) -> None:
        if self._reel is not None:
            self._reel.close()
        self._reel = self._key = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def covered(path: Path) -> float:
    """Seconds from the start of a clip that its picture and its sound both reach.

    Raises DataError where it cannot be opened or lacks one of them.
    """
    with Clip(path) as clip:
        ends = [clip.duration]
        for stream, what in ((clip._video, "picture"), (clip._audio, "sound")):
            if stream is None:
                raise DataError(f"has no {what}", where=path)
            if stream.duration is not None:
                start = stream.start_time or 0
                ends.append(float((start + stream.duration) * stream.time_base) - clip._origin)
    return min(ends)
