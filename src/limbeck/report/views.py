"""Items as the pictures and sounds of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from limbeck.modalities import Audio, Image, Modality, Text
from limbeck.report.media import data_address, picture_bytes, render, sound_bytes, thumbnail
from limbeck.synthetic.factor import cells, decode

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor

__all__ = ["SOUND_BYTES", "Cell", "Heard", "View", "real_views", "shared_limits", "sound_plan", "sounds_each", "views"]

SOUND_BYTES = 4_500_000
"""Of WAV files in a page; 16-bit sound at 11 kHz is 22 kB a second."""
REAL_PIXELS = 3_000_000
"""Of all real items of a modality together; larger pictures are shrunk."""
TINY = 32
"""Real items of at most so many pixels a side are kept as they are: a JPEG of them would be no smaller."""
SMALL = 64
"""Pictures of at most so many pixels a side are enlarged pixel by pixel."""


@dataclass(frozen=True)
class Cell:
    """One decoded item of one modality: a picture, a sound where there is one, and what else is to be said of it.

    Args:
        other: it is of another class than the item it stands beside.
    """

    picture: str
    sound: str | None = None
    note: str = ""
    other: bool = False


@dataclass(frozen=True)
class View:
    """One modality of one stored item: l*l cells, row by row as they lie in the item."""

    name: str
    kind: str
    small: bool
    cells: list[Cell]


@dataclass(frozen=True)
class Heard:
    """How many sounds of each item have a player, set by set, and whether they are held in 8 bits (mu-law)."""

    each: tuple[int, ...]
    compact: bool = False


def sounds_each(modality: Modality, items: int, factor: int) -> int:
    """Cells of each item that get a player: all, or as many as fit SOUND_BYTES; long sounds may get none."""
    if not isinstance(modality, Audio):
        return 0
    return min(factor**2, SOUND_BYTES // max(1, items * (2 * modality.samples + 44)))


def sound_plan(modality: Modality, items: int, factor: int, sets: int) -> Heard:
    """Which sounds fit SOUND_BYTES, where as many items of several sets are shown.

    All of them in 16 bits where they fit; else in 8 bits, those of the first set before the others', whose cells come
    by turns.
    """
    if not isinstance(modality, Audio):
        return Heard((0,) * sets)
    if sounds_each(modality, items * sets, factor) == factor**2:
        return Heard((factor**2,) * sets)
    order = sorted((s > 0, k, s) for k in range(factor**2) for s in range(sets))
    fitting = [s for *_, s in order[: SOUND_BYTES // max(1, items * (modality.samples + 60))]]
    return Heard(tuple(fitting.count(s) for s in range(sets)), compact=True)


def views(
    modality: Modality,
    values: Sequence[Tensor],
    factor: int,
    heard: int,
    limits: tuple[float, float] | None = None,
    *,
    compact: bool = False,
) -> list[list[View]]:
    """Sets of stored (N, *shape) items as views, set by set; all are drawn to the scale of the last.

    Args:
        heard: cells of each item that get a player; :func:`sounds_each` says how many fit a page.
        limits: another scale, from :func:`shared_limits`.
        compact: sounds in 8 bits.
    """
    limits = limits or shared_limits(modality, values[-1])
    out = []
    for stored in values:
        sounds = _sounds(modality, stored, factor, heard, compact)
        out.append([
            _view(modality, picture, sounds[i], factor) for i, picture in enumerate(render(modality, stored, limits))
        ])  # fmt: skip
    return out


def real_views(
    modality: Modality,
    values: Tensor,
    cells_each: int,
    limits: tuple[float, float] | None,
    heard: int,
    notes: Sequence[tuple[str, bool]],
    *,
    compact: bool = False,
) -> list[View]:
    """Real (N * cells_each, *shape) items as N views: those that belong together lie after one another, in the order of
    :func:`limbeck.synthetic.factor.decode`.

    Args:
        heard: of those that belong together, how many get a player. compact: in 8 bits.
        notes: what :class:`Cell` says of each.
    """
    side = round((REAL_PIXELS / len(values)) ** 0.5)
    pictures = [thumbnail(picture, side) for picture in render(modality, values, limits)]
    photograph = isinstance(modality, Image | Audio) and max(pictures[0].size) > TINY
    factor = round(cells_each**0.5)
    # cells go column by column, the page row by row
    order = [c * factor + r for r in range(factor) for c in range(factor)]
    found = []
    for start in range(0, len(values), cells_each):
        sounds: list[str | None] = [None] * cells_each
        if isinstance(modality, Audio) and heard:
            waves = modality.waveform(values[start : start + heard])
            sounds[:heard] = [_address(modality, samples, compact) for samples in waves]
        shown = [
            Cell(data_address(*picture_bytes(pictures[start + k], photograph=photograph)), sounds[k], *notes[start + k])
            for k in order
        ]
        found.append(_named(modality, max(pictures[start].size), shown))
    return found


def _view(modality: Modality, picture: Picture, sounds: Sequence[str | None], factor: int) -> View:
    boxes, clips = [(0, 0, *picture.size)], 1
    if factor > 1 and modality.spatial:
        clips = modality.shape[0] if isinstance(modality, Audio) else 1
        height, width = modality.shape[-2:]
        boxes = [(c.start, r.start, c.stop, r.stop) for r, c in cells(height, width, factor)]
    crops = [
        Cell(data_address(*picture_bytes(_cut(picture, box, clips))), sound)
        for box, sound in zip(boxes, sounds, strict=True)
    ]
    return _named(modality, max(picture.size), [crops[k] for k in _row_by_row(boxes)])


def _named(modality: Modality, side: int, shown: list[Cell]) -> View:
    return View(modality.name, "text" if isinstance(modality, Text) else modality.kind, side <= SMALL, shown)


def _cut(picture: Picture, box: tuple[int, int, int, int], clips: int) -> Picture:
    """A cell of a picture; where clips stand side by side in it, the cell's part of each."""
    left, top, right, bottom = box
    size, step = right - left, picture.width // clips
    cut = picture.crop((0, 0, size * clips, bottom - top))
    for k in range(clips):
        cut.paste(picture.crop((left + k * step, top, right + k * step, bottom)), (k * size, 0))
    return cut


def _row_by_row(boxes: Sequence[tuple[int, int, int, int]]) -> list[int]:
    return sorted(range(len(boxes)), key=lambda k: (boxes[k][1], boxes[k][0]))


def shared_limits(modality: Modality, values: Tensor) -> tuple[float, float] | None:
    """The same decibel are the same colour on the whole page: the range of the real items where there are some."""
    if not isinstance(modality, Audio):
        return None
    db = modality.decibel(modality.denormalise(values))
    low, high = (float(q) for q in np.quantile(db.numpy(), [0.02, 0.995]))
    return max(low, high - 80), high


def _sounds(modality: Modality, stored: Tensor, factor: int, heard: int, compact: bool) -> list[list[str | None]]:
    """(items x cells) data addresses of WAV files, None where a cell has no player."""
    count = factor**2 if modality.spatial else 1
    silent: list[list[str | None]] = [[None] * count for _ in range(len(stored))]
    if not isinstance(modality, Audio):
        return silent
    for k in range(heard):
        for i, samples in enumerate(modality.waveform(decode(stored, factor)[k])):
            silent[i][k] = _address(modality, samples, compact)
    return silent


def _address(modality: Audio, samples: Tensor, compact: bool) -> str:
    return data_address(sound_bytes(samples.numpy(), modality.sample_rate, compact=compact), "audio/wav")
