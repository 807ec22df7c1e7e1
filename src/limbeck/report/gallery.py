"""The gallery: each stored item with what it decodes to, and the real item it began as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from limbeck.modalities import Audio, Modality, Text
from limbeck.modalities.wav import wav_bytes
from limbeck.report.media import data_address, picture_bytes, render
from limbeck.synthetic.factor import cells, decode
from limbeck.synthetic.nearest import Neighbour, nearest_captions

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor

    from limbeck.synthetic import SyntheticSet

__all__ = ["Card", "Cell", "Gallery", "Group", "View", "build_gallery", "sounds_each", "views"]

ITEMS = 100
"""Stored items shown at most."""
SOUND_BYTES = 6_000_000
"""Of WAV files in a page; 16-bit sound at 11 kHz is 22 kB a second."""


@dataclass(frozen=True)
class Cell:
    """One decoded item of one modality: a picture, and a sound where there is one."""

    picture: str
    sound: str | None = None


@dataclass(frozen=True)
class View:
    """One modality of one stored item: l*l cells, row by row as they lie in the item."""

    name: str
    kind: str
    small: bool
    cells: list[Cell]


@dataclass(frozen=True)
class Card:
    """A stored item: distilled, what it began as, and the real captions its text is nearest to now."""

    number: int
    distilled: list[View]
    initial: list[View]
    captions: list[str]
    nearest: list[Neighbour] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """The items of a class, or all of a set by pair."""

    name: str
    cards: list[Card]


@dataclass(frozen=True)
class Gallery:
    """Everything on show, and sentences on what is left out."""

    groups: list[Group]
    factor: int
    shown: int
    notes: list[str] = field(default_factory=list)

    @property
    def told(self) -> bool:
        """Whether nearest captions are on show."""
        return any(card.nearest for group in self.groups for card in group.cards)

    @property
    def few(self) -> bool:
        """So few items of each class that all share one grid."""
        return max(len(group.cards) for group in self.groups) <= 2


def build_gallery(synthetic: SyntheticSet, initial: SyntheticSet | None) -> Gallery:
    """Render a set beside the one it began as (which holds the same items, or is left out)."""
    if initial is not None and (len(initial) != len(synthetic) or list(initial.values) != list(synthetic.values)):
        initial = None
    rows = _chosen(synthetic)
    notes = []
    if len(rows) < len(synthetic):
        notes.append(f"{len(rows)} of {len(synthetic)} stored items are shown here; limbeck export writes all of them.")
    sets = [synthetic] if initial is None else [synthetic, initial]
    shown: list[list[list[View]]] = [[[] for _ in rows] for _ in sets]
    for modality in synthetic.modalities.values():
        heard = sounds_each(modality, len(rows) * len(sets), synthetic.factor)
        if isinstance(modality, Audio) and heard < synthetic.factor**2:
            notes.append(f"{heard} of the {synthetic.factor**2} sounds in each item can be played here.")
        values = [s.values[modality.name][rows].detach().cpu() for s in sets]
        for k, rendered in enumerate(views(modality, values, synthetic.factor, heard)):
            for i, view in enumerate(rendered):
                shown[k][i].append(view)
    nearest, reason = nearest_captions(synthetic, rows)
    notes += [reason] if reason else []
    groups: dict[str, list[Card]] = {}
    for i, row in enumerate(rows):
        before = shown[1][i] if initial is not None else []
        card = Card(row, shown[0][i], before, _captions(synthetic, row), nearest.get(row, []))
        groups.setdefault(_class_of(synthetic, row), []).append(card)
    return Gallery([Group(name, cards) for name, cards in groups.items()], synthetic.factor, len(rows), notes)


def _captions(synthetic: SyntheticSet, row: int) -> list[str]:
    """A dozen at most, as the cells lie on the page; with several cells, each caption after its cell's number."""
    if synthetic.captions is None:
        return []
    count = synthetic.factor**2
    # cells go column by column, the page row by row
    places = [k for r in range(synthetic.factor) for k in range(r, count, synthetic.factor)]
    found: list[str] = []
    for number, cell in enumerate(places, 1):
        words = list(dict.fromkeys(synthetic.captions[row][cell]))[: max(1, 12 // count)]
        found += words if count == 1 else [f"{number}: {w}" for w in words]
    return found


def _class_of(synthetic: SyntheticSet, row: int) -> str:
    return "Pairs" if synthetic.labels is None else synthetic.classes[int(synthetic.labels[row])]


def _chosen(synthetic: SyntheticSet) -> list[int]:
    """At most ITEMS stored items, as many of each class as of the others, in their order."""
    if len(synthetic) <= ITEMS or synthetic.labels is None:
        return list(range(min(len(synthetic), ITEMS)))
    labels = synthetic.labels.numpy()
    place = np.zeros(len(labels), np.int64)  # how many of its class stand before an item
    for label in np.unique(labels):
        place[labels == label] = np.arange(np.sum(labels == label))
    return [int(i) for i in np.sort(np.lexsort((labels, place))[:ITEMS])]


def sounds_each(modality: Modality, items: int, factor: int) -> int:
    """Cells of each item that get a player: all, or as many as fit SOUND_BYTES; long sounds may get none."""
    if not isinstance(modality, Audio):
        return 0
    return min(factor**2, SOUND_BYTES // max(1, items * (2 * modality.samples + 44)))


def views(modality: Modality, values: Sequence[Tensor], factor: int, heard: int) -> list[list[View]]:
    """Sets of stored (N, *shape) items as views, set by set; all are drawn to the scale of the last.

    Args:
        heard: cells of each item that get a player; :func:`sounds_each` says how many fit a page.
    """
    limits = _shared_limits(modality, values[-1])
    out = []
    for stored in values:
        sounds = _sounds(modality, stored, factor, heard)
        pictures = render(modality, stored, limits)
        item = []
        for i, picture in enumerate(pictures):
            boxes, clips = [(0, 0, *picture.size)], 1
            if factor > 1 and modality.spatial:
                clips = modality.shape[0] if isinstance(modality, Audio) else 1
                height, width = modality.shape[-2:]
                boxes = [(c.start, r.start, c.stop, r.stop) for r, c in cells(height, width, factor)]
            crops = [
                Cell(data_address(*picture_bytes(_cut(picture, box, clips))), s)
                for box, s in zip(boxes, sounds[i], strict=True)
            ]
            rows = [crops[k] for k in _row_by_row(boxes)]
            kind = "text" if isinstance(modality, Text) else modality.kind
            item.append(View(modality.name, kind, max(picture.size) <= 64, rows))
        out.append(item)
    return out


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


def _shared_limits(modality: Modality, values: Tensor) -> tuple[float, float] | None:
    """The same decibel are the same colour on the whole page: the range of the real items where there are some."""
    if not isinstance(modality, Audio):
        return None
    db = modality.decibel(modality.denormalise(values))
    low, high = (float(q) for q in np.quantile(db.numpy(), [0.02, 0.995]))
    return max(low, high - 80), high


def _sounds(modality: Modality, stored: Tensor, factor: int, heard: int) -> list[list[str | None]]:
    """(items x cells) data addresses of WAV files, None where a cell has no player."""
    count = factor**2 if modality.spatial else 1
    silent: list[list[str | None]] = [[None] * count for _ in range(len(stored))]
    if not isinstance(modality, Audio):
        return silent
    for k in range(heard):
        for i, samples in enumerate(modality.waveform(decode(stored, factor)[k])):
            silent[i][k] = data_address(wav_bytes(samples.numpy(), modality.sample_rate), "audio/wav")
    return silent
