"""One row to the bytes of one item: what each worker of a preparation does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.idx import read_idx
from limbeck.data.matlab import read_frame
from limbeck.data.media import Clip
from limbeck.data.pictures import depth_map, read_depth, read_feature, read_image, resize
from limbeck.data.reel import Reels
from limbeck.data.rows import Media, Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.tensors import read_row
from limbeck.errors import DataError, LimbeckError
from limbeck.modalities import Audio, Modality

__all__ = ["SILENCE", "Failure", "Plan", "chunks", "decode", "decode_safely", "span_of", "window_of"]

CHUNK = 8
"""Items that a worker takes at a time, where they are not windows of one video."""

SILENCE = 1e-4
"""Sound whose peak stays below this (-80 dB of full scale, three steps of 16 bits) is silent."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know besides the row. ``modalities``: those that are decoded from files. ``filter``: what
    still pictures are resized with."""

    settings: PrepareSettings
    modalities: Mapping[str, Modality]
    filter: str = "bilinear"


@dataclass(frozen=True)
class Failure:
    """A row that gave no item: why, and the file it lies with."""

    reason: str
    file: str | None


def decode_safely(rows: Sequence[Row], plan: Plan) -> list[dict[str, Array] | Failure]:
    """:func:`decode` of each row, with anything that goes wrong as a value; windows of one video in one pass."""
    with Reels(first_channel=plan.settings.first_channel) as reels:
        return [_decode_safely(row, plan, reels) for row in rows]


def _decode_safely(row: Row, plan: Plan, reels: Reels) -> dict[str, Array] | Failure:
    try:
        return decode(row, plan, reels)
    except LimbeckError as error:
        return Failure(error.what if error.hint is None else f"{error.what}. {error.hint}", _file_of(error, row))
    except Exception as error:  # a decoder's own bug: one file must not end the work of hours
        return Failure(f"{type(error).__name__}: {error}", _file_of(None, row))


def chunks(rows: Iterable[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
    """(number, row) pairs as the workers take them: windows that are decoded in one pass stay together."""
    taken: list[tuple[int, Row]] = []
    before: object = None
    for number, row in rows:
        now = None if row.begin is None else (row.begin, *(m.path for m in row.media.values()))
        if taken and (now != before or (now is None and len(taken) == CHUNK)):
            yield taken
            taken = []
        taken.append((number, row))
        before = now
    if taken:
        yield taken


def _file_of(error: LimbeckError | None, row: Row) -> str | None:
    if error is not None and error.where is not None:
        return str(error.where)
    return next((str(m.path) for m in row.media.values()), None)


def decode(row: Row, plan: Plan, reels: Reels) -> dict[str, Array]:
    """Modality -> array of its shape and stored type. Raises DataError that names the file."""
    if row.begin is not None:
        try:
            return _decode(row, plan, reels)
        except DataError:
            reels.close()  # damage before the window is none of the window's: it is sought by itself
    return _decode(row, plan, None)


def _decode(row: Row, plan: Plan, reels: Reels | None) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with ExitStack() as stack:
        clips: dict[Path, Clip] = {}

        def clip(media: Media) -> Clip:
            if reels is not None and row.begin is not None:
                return reels.get(media.path, row.begin)
            if media.path not in clips:
                clips[media.path] = stack.enter_context(Clip(media.path, first_channel=plan.settings.first_channel))
            return clips[media.path]

        # sound first: its window often begins at 0, where a clip is that was just opened
        for name, modality in sorted(plan.modalities.items(), key=lambda pair: pair[1].kind != "audio"):
            media = row.media[name]
            if media.kind == "tensor":
                arrays[name] = read_row(media.path, media.key, media.index, modality)
            elif isinstance(modality, Audio):
                read = _clips if modality.scale == "kaldi" else _sound
                arrays[name] = read(clip(media), row, modality, plan.settings)
            elif media.kind == "video":
                arrays[name] = _frame(clip(media), row, plan.settings)
            else:
                arrays[name] = _still(media, modality, plan)
    return arrays


def _still(media: Media, modality: Modality, plan: Plan) -> Array:
    settings = plan.settings
    size, channels = settings.image_size, settings.channels
    if media.kind == "idx":
        return resize(read_idx(media.path)[media.index], size, channels, antialias=settings.antialias)
    if media.kind == "hdf5":
        frame = read_frame(media.path, media.key, media.index)
        if modality.kind == "depth":
            return depth_map(frame, size, where=f"{media.path}, frame {media.index + 1}")
        return resize(frame, size, channels, antialias=settings.antialias, filter=plan.filter)
    if modality.kind == "image":
        return read_image(media.path, size, channels, antialias=settings.antialias, filter=plan.filter)
    if modality.kind == "depth":
        rotated = settings.depth_rotated or media.key == "rotated"
        return read_depth(media.path, size, unit=settings.depth_unit, rotated=rotated)
    return read_feature(media.path, modality.shape[0])


def window_of(row: Row, duration: float, length: float) -> tuple[float, float]:
    """(start, end) in seconds of the row's window in a clip of ``duration`` seconds.

    Centred on the row's event, or on the clip; moved into the clip where it would stick out; it ends after a clip
    that is shorter. Raises DataError if the event lies beyond the clip.
    """
    if row.start is not None and row.start >= duration:
        raise DataError(f"starts at {row.start} s, but the clip is {duration:.2f} s long")
    if row.start is not None and row.end is not None:
        centre = (row.start + row.end) / 2
    elif row.start is not None:
        centre = row.start + length / 2
    elif row.end is not None:
        centre = row.end - length / 2
    else:
        centre = duration / 2
    start = max(0.0, min(centre - length / 2, duration - length))
    return start, start + length


def _frame(clip: Clip, row: Row, settings: PrepareSettings) -> Array:
    """The frame in the middle of the part of the window that the clip covers (docs/audio_visual.md)."""
    duration = clip.duration
    if settings.mel == "kaldi":
        start, end = span_of(row, duration)
    else:
        start, end = window_of(row, duration, settings.window)
    pixels = clip.frame((start + min(end, duration)) / 2)
    return resize(pixels, settings.image_size, settings.channels, antialias=settings.antialias)


def span_of(row: Row, duration: float) -> tuple[float, float]:
    """(start, end) in seconds of what a row is about: its event, or all of a clip of ``duration`` seconds.

    Raises DataError if the event lies beyond the clip.
    """
    start, end = row.start or 0.0, duration if row.end is None else min(row.end, duration)
    if start >= end:
        raise DataError(f"nothing from {start} s to {row.end or duration} s: the clip is {duration:.2f} s long")
    return start, end


def _clips(clip: Clip, row: Row, audio: Audio, settings: PrepareSettings) -> Array:
    """Clips of Kaldi's filter bank, spread over all that the row is about (docs/imagebind.md)."""
    import torch

    from limbeck.modalities.fbank import clip_starts, fbank, fitted

    rate, length = audio.sample_rate, audio.clip_samples / audio.sample_rate
    start, end = span_of(row, clip.sound_end)
    begins = [start + s for s in clip_starts(end - start, length, audio.shape[0])]
    waves = {b: clip.waveform(b, min(b + length, end), rate) for b in dict.fromkeys(begins)}
    if min(len(wave) for wave in waves.values()) < audio.n_fft:
        least = audio.n_fft / rate
        raise DataError(f"has {end - start:.3f} s of sound, and it takes {least:.3f} s", where=clip.path)
    _check_heard(clip, list(waves.values()), start, end, settings)
    banks = {
        b: fitted(
            fbank(torch.from_numpy(w), sample_rate=rate, width=audio.n_fft, hop=audio.hop, n_mels=audio.shape[1]),
            audio.shape[2],
        )
        for b, w in waves.items()
    }
    result: Array = audio.to_stored(torch.stack([banks[b] for b in begins])).numpy()
    return result


def _check_heard(clip: Clip, waves: Sequence[Array], start: float, end: float, settings: PrepareSettings) -> None:
    if not settings.allow_silent and max(float(np.abs(wave).max()) for wave in waves) < SILENCE:
        hint = "Set allow_silent to keep such items."
        raise DataError(f"is silent from {start:.2f} s to {end:.2f} s", where=clip.path, hint=hint)


def _sound(clip: Clip, row: Row, audio: Audio, settings: PrepareSettings) -> Array:
    import torch

    from limbeck.modalities.melspec import log_mel

    length = settings.samples / settings.sample_rate
    start, end = window_of(row, clip.duration, length)
    wave = clip.waveform(start, end, settings.sample_rate)
    _check_heard(clip, [wave], start, end, settings)
    spectrogram = log_mel(
        torch.from_numpy(wave)[None],
        sample_rate=settings.sample_rate,
        n_fft=settings.n_fft,
        hop=settings.effective_hop,
        n_mels=settings.n_mels,
    )
    result: Array = audio.to_stored(spectrogram).numpy()
    return result
