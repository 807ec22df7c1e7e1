"""Clips: the frame shown at a moment, and the sound of a window, from any container PyAV reads.

Both streams are timed from the start of the container, so picture and sound of one moment belong together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from limbeck.data.pictures import MAX_PIXELS
from limbeck.data.sound import mono, resample
from limbeck.data.wav import MAX_CHANNELS, RATES, check_wav
from limbeck.errors import DataError

__all__ = ["Clip"]

# Playlists and other formats that make the decoder open further files or addresses are not in this list.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,"
    "wav,w64,aiff,flac,ogg,mp3,aac,amr,au,h264,hevc,ivf"
)
MARGIN = 0.05
"""Seconds of real sound around a window that the resampler sees, so that its borders are not borders to it."""
PREROLL = 0.5
"""Seconds before a window at which decoding starts."""
WARM = 0.1
"""Seconds after which a decoder that began in the middle gives what it would have from the start: packets overlap,
so the first frames after a seek come out wrong."""
MISSING = 0.1
"""Seconds by which a stream may end before it says it does."""

Array = np.ndarray[Any, Any]


class Clip:
    """An open media file. Use as a context manager; every error is a DataError that names the file.

    ``first_channel``: sound is its first channel instead of the mean of all.
    """

    def __init__(self, path: str | Path, *, first_channel: bool = False) -> None:
        self.path, self._first_channel = Path(path), first_channel
        if not self.path.is_file():
            raise DataError("no such file", where=path)
        if self.path.stat().st_size == 0:
            raise DataError("is empty (0 bytes)", where=path)
        if self.path.suffix.lower() == ".wav":
            check_wav(self.path)
        self._open()

    def _open(self) -> None:
        import av

        with self._reading("cannot be opened"):
            self._container = av.open(str(self.path.absolute()), options={"format_whitelist": CONTAINERS})
        streams = self._container.streams
        # a cover picture inside a sound file is no video
        self._video = next((s for s in streams.video if not _is_cover(s)), None)
        self._audio = next(iter(streams.audio), None)
        for stream in (self._video, self._audio):
            if stream is not None:
                stream.codec_context.thread_count = 1  # the pool has one process a core already
        self._origin = (self._container.start_time or 0) / av.time_base
        self._fresh = True

    def _go_to(self, stream: Any, moment: float) -> bool:
        """Seek to ``moment`` seconds or before; False if decoding now begins at the very beginning instead.

        The beginning is reached by opening the file again: sound has packets before 0 that are read for their overlap,
        and several containers seek to them wrongly or not at all.
        """
        import av

        if moment > 0:
            self._fresh = False
            try:
                self._container.seek(int((moment + self._origin) / stream.time_base), stream=stream)
                return True
            except av.error.FFmpegError:
                pass
        if not self._fresh:
            self._container.close()
            self._open()
        self._fresh = False
        return False

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError, EOFError, ValueError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DataError(f"{what}: {reason}", where=self.path, hint="Is the file damaged or truncated?") from error

    @property
    def duration(self) -> float:
        """Seconds from the first to the last moment of any stream."""
        import av

        if self._container.duration is not None:
            return float(self._container.duration / av.time_base)
        end, self._fresh = 0.0, False
        with self._reading("cannot be read"):
            for packet in self._container.demux():
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._origin)
        return end

    @property
    def sound_end(self) -> float:
        """Seconds to the end of the sound, as far as the file says, else to that of the clip."""
        stream = self._audio
        if stream is None or not stream.duration:
            return self.duration
        end = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        return min(self.duration, end - float(self._origin))

    def frame(self, at: float | None = None) -> Array:
        """(H, W, 3) uint8 RGB: the frame on screen ``at`` seconds after the start; None: in the middle of the clip."""
        stream = self._video
        if stream is None:
            raise DataError("has no picture", where=self.path)
        width, height = stream.codec_context.width, stream.codec_context.height
        if not 0 < width * height <= MAX_PIXELS:
            raise DataError(f"frames of {width} x {height} are not read", where=self.path)
        moment = self.duration / 2 if at is None else at
        with self._reading("the picture cannot be decoded"):
            best = self._frame_at(moment)
        if best is None:
            raise DataError(f"has no frame at {moment:.3f} s", where=self.path)
        with self._reading("a frame cannot be converted"):
            # left alone, the conversion starts a thread a core for every frame: 16 times as slow
            picture: Array = best.reformat(format="rgb24", threads=1).to_ndarray()
        # telephones film sideways and say so
        return np.ascontiguousarray(np.rot90(picture, round(getattr(best, "rotation", 0) / 90) % 4))

    def _frame_at(self, moment: float) -> Any:
        """The decoded frame on screen at ``moment``, None where there is none."""
        best = self._seeking(lambda: self._last_until(moment, begin=moment))
        return self._last_until(moment, begin=0) if best is None else best

    def _seeking(self, work: Callable[[], Any]) -> Any:
        """The work's result; None where decoding failed, which may only mean that it began amid a packet."""
        import av

        try:
            return work()
        except av.error.FFmpegError:
            return None

    def _last_until(self, moment: float, *, begin: float) -> Any:
        """The last frame not after ``moment``, decoding from ``begin`` on; None where that is too late."""
        best, last = None, 0.0
        sought = self._go_to(self._video, begin)
        late = moment + self._step / 100  # times are rounded to the container's ticks
        for time, frame in self._frames():
            if time > late and (best is not None or sought):
                return best
            if best is None or time >= last:
                best, last = frame, time
            if time > late:  # the first frame of all comes late: it is what a player shows
                return best
        if best is not None:
            self._check_picture(last, moment)
        return best

    @property
    def _step(self) -> float:
        """Seconds from frame to frame."""
        rate = self._video.average_rate if self._video is not None else None
        return float(1 / rate) if rate else 0.04

    def _frames(self) -> Iterator[tuple[float, Any]]:
        """(time, frame) from where the container stands."""
        for frame in self._container.decode(self._video):
            if frame.time is not None:
                yield frame.time - self._origin, frame

    def _check_picture(self, last: float, moment: float) -> None:
        """A stream whose last frame comes long before the moment that is wanted was cut short."""
        if moment - last > 1.5 * self._step + MISSING:
            ends = f"the picture ends at {last + self._step:.2f} s, {moment:.2f} s is needed"
            raise DataError(f"{ends}: truncated?", where=self.path)

    def waveform(self, start: float, end: float, rate: int) -> Array:
        """(round((end - start) * rate),) float32: the window, one channel, resampled; zeros beyond the clip.

        Args:
            start, end: seconds from the start of the clip.
            rate: hertz of the result.

        Raises DataError where there is no sound, it is damaged, cut short, not finite, or its rate is not believable.
        """
        stream = self._audio
        if stream is None:
            raise DataError("has no sound", where=self.path)
        if not RATES[0] <= (stream.rate or 0) <= RATES[1]:
            raise DataError(f"claims a sampling rate of {stream.rate} Hz", where=self.path)
        if not 1 <= stream.channels <= MAX_CHANNELS:
            raise DataError(f"claims {stream.channels} channels", where=self.path)
        old = int(stream.rate)
        first = max(0, math.floor((start - MARGIN) * old))
        source = self._samples(old, first, math.ceil((end + MARGIN) * old))
        with self._reading("the sound cannot be resampled"):
            resampled = resample(source, old, rate)
        offset = round((start - first / old) * rate)
        result = np.zeros(round((end - start) * rate), np.float32)
        part = resampled[max(0, offset) : max(0, offset + len(result))]
        begin = max(0, -offset)
        result[begin : begin + len(part)] = part[: len(result) - begin]
        return result

    def _samples(self, rate: int, first: int, last: int) -> Array:
        """(last - first,) float32 mono at the file's ``rate``; zeros where the stream has not begun or is over."""
        result = np.zeros(last - first, np.float32)
        with self._reading("the sound cannot be decoded"):
            position = self._seeking(lambda: self._decode_into(result, rate, first, first / rate - PREROLL))
            if position is None:
                position = self._decode_into(result, rate, first, 0)
        return self._checked(result, rate, position or 0, last)

    def _checked(self, result: Array, rate: int, position: int, last: int) -> Array:
        if not np.isfinite(result).all():
            raise DataError("the sound holds values that are not finite (NaN)", where=self.path)
        self._check_end(rate, position, last)
        return result

    def _decode_into(self, result: Array, rate: int, first: int, begin: float) -> int | None:
        """Fill ``result``, whose first sample is number ``first``, decoding from ``begin`` seconds on.

        Returns the number of the sample where decoding ended; None if it began too late.
        """
        sought = self._go_to(self._audio, begin)
        end, last = None, first + len(result)
        for position, samples in self._blocks(rate):
            if end is None and sought and position > first - WARM * rate:
                return None
            end = position + len(samples)
            low, high = max(position, first), min(end, last)
            if low < high:
                result[low - first : high - first] = samples[low - position : high - position]
            if end >= last:
                break
        return end

    def _blocks(self, rate: int) -> Iterator[tuple[int, Array]]:
        """(number of its first sample, samples) from where the container stands."""
        position = None
        for frame in self._container.decode(self._audio):
            if frame.sample_rate != rate:
                raise ValueError(f"its rate changes from {rate} to {frame.sample_rate} Hz")
            if position is None:
                # only the first time counts: later ones are rounded to ticks, which would tear holes
                position = round(((frame.time or 0.0) - self._origin) * rate)
            samples = mono(frame, first=self._first_channel)
            yield position, samples
            position += len(samples)

    def _check_end(self, rate: int, position: int, last: int) -> None:
        """A stream that stops before the end it declares was cut short."""
        stream: Any = self._audio
        declared = float(stream.duration * stream.time_base) if stream.duration else None
        if declared is None and self._video is None:
            declared = self.duration
        if declared is None or position >= last:
            return
        if position < min(last, declared * rate) - MISSING * rate:
            ends = f"the sound ends at {position / rate:.2f} s of the {declared:.2f} s it declares"
            raise DataError(f"{ends}: truncated", where=self.path)

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_cover(stream: Any) -> bool:
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)
