"""The gallery: each stored item with what it decodes to, what it began as, and the real items it is nearest to now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from limbeck.modalities import Audio
from limbeck.report.neighbours import Near, Neighbours, nearest_items
from limbeck.report.views import View, real_views, shared_limits, sound_plan, views
from limbeck.synthetic.nearest import Neighbour, nearest_captions

if TYPE_CHECKING:
    from limbeck.synthetic import SyntheticSet

__all__ = ["Card", "Gallery", "Group", "build_gallery"]

ITEMS = 100
"""Stored items shown at most."""


@dataclass(frozen=True)
class Card:
    """A stored item: distilled, what it began as, the real items its cells are nearest to, and the real captions its
    text is nearest to now."""

    number: int
    distilled: list[View]
    initial: list[View]
    captions: list[str]
    nearest: list[Neighbour] = field(default_factory=list)
    real: list[View] = field(default_factory=list)
    near: list[Near] = field(default_factory=list)
    label: str = ""

    @property
    def rows(self) -> list[tuple[View, View | None, View | None]]:
        """By modality: distilled, what it began as, the nearest real one."""
        before, near = ({view.name: view for view in shown} for shown in (self.initial, () if self.same else self.real))
        return [(view, before.get(view.name), near.get(view.name)) for view in self.distilled]

    @property
    def same(self) -> bool:
        """Whether its only cell is nearest to the item it began as, which is on show already."""
        return bool(self.initial) and len(self.near) == 1 and self.near[0].began

    @property
    def distance(self) -> str:
        """Of the nearest real items, least and largest."""
        far = sorted({f"{near.distance:.2f}" for near in self.near}, key=float)
        return "–".join(far if len(far) < 3 else (far[0], far[-1]))

    @property
    def others(self) -> list[str]:
        """Classes of nearest real items that are not this one's."""
        return sorted({near.label for near in self.near if self.label and near.label not in ("", self.label)})


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
    def compared(self) -> bool:
        """Whether nearest real items are on show."""
        return any(card.near for group in self.groups for card in group.cards)

    @property
    def stayed(self) -> tuple[int, int]:
        """How many cells are nearest to the very item that they began as, of how many that were compared."""
        found = [near.began for group in self.groups for card in group.cards for near in card.near]
        return sum(found), len(found)

    @property
    def few(self) -> bool:
        """So few items of each class that all share one grid."""
        return max(len(group.cards) for group in self.groups) <= 2


def build_gallery(synthetic: SyntheticSet, initial: SyntheticSet | None) -> Gallery:
    """Render a set beside the one it began as (which holds the same items, or is left out), and beside the items of the
    real set that are nearest to it, where that is at hand."""
    if initial is not None and (len(initial) != len(synthetic) or list(initial.values) != list(synthetic.values)):
        initial = None
    rows = _chosen(synthetic)
    notes = []
    if len(rows) < len(synthetic):
        notes.append(f"{len(rows)} of {len(synthetic)} stored items are shown here; limbeck export writes all of them.")
    near = nearest_items(synthetic, rows)
    distilled, before, real, unheard = _rendered(synthetic, initial, near, rows)
    captions, reason = nearest_captions(synthetic, rows)
    notes += [*unheard, *(note for note in (near.note, reason) if note)]
    groups: dict[str, list[Card]] = {}
    for i, row in enumerate(rows):
        words, found, label = _captions(synthetic, row), near.found[i] if near.found else [], _label(synthetic, row)
        card = Card(row, distilled[i], before[i], words, captions.get(row, []), real[i], found, label)
        groups.setdefault(label or "Pairs", []).append(card)
    return Gallery([Group(name, cards) for name, cards in groups.items()], synthetic.factor, len(rows), notes)


def _rendered(
    synthetic: SyntheticSet, initial: SyntheticSet | None, near: Neighbours, rows: Sequence[int]
) -> tuple[list[list[View]], list[list[View]], list[list[View]], list[str]]:
    """By item the views of the set, of what it began as and of real items, and which sounds are left out."""
    distilled: list[list[View]] = [[] for _ in rows]
    before: list[list[View]] = [[] for _ in rows]
    real: list[list[View]] = [[] for _ in rows]
    unheard, count = [], synthetic.factor**2
    sets = 1 + (initial is not None) + bool(near.values)
    for name, modality in synthetic.modalities.items():
        plan = sound_plan(modality, len(rows), synthetic.factor, sets)
        own = synthetic.values[name][rows].detach().cpu()
        first = None if initial is None else initial.values[name][rows].detach().cpu()
        limits = shared_limits(modality, own if first is None else first)
        for part, values, heard in ((distilled, own, plan.each[0]), (before, first, plan.each[1 % sets])):
            if values is not None:
                (found,) = views(modality, [values], synthetic.factor, heard, limits, compact=plan.compact)
                _add(part, found)
        if name in near.values:
            told = [_said(n, _label(synthetic, row)) for row, item in zip(rows, near.found, strict=True) for n in item]
            heard = plan.each[-1]
            _add(real, real_views(modality, near.values[name], count, limits, heard, told, compact=plan.compact))
        if isinstance(modality, Audio) and min(plan.each) < count:
            beside = f", {plan.each[-1]} of those beside it" if plan.each[-1] < plan.each[0] else ""
            unheard.append(f"{plan.each[0]} of the {count} sounds in each item can be played here{beside}.")
    return distilled, before, real, unheard


def _add(items: list[list[View]], found: Sequence[View]) -> None:
    for views_of_item, view in zip(items, found, strict=True):
        views_of_item.append(view)


def _said(near: Near, own: str) -> tuple[str, bool]:
    """What is said of a real item beside an item of class ``own`` ("" without), and whether it is of another class."""
    other = bool(near.label and own) and near.label != own
    words = [f"distance {near.distance:.2f}", f"of class {near.label}" if other else ""]
    words.append("the item this one began as" if near.began else "")
    return ", ".join(word for word in words if word), other


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


def _label(synthetic: SyntheticSet, row: int) -> str:
    return "" if synthetic.labels is None else synthetic.classes[int(synthetic.labels[row])]


def _chosen(synthetic: SyntheticSet) -> list[int]:
    """At most ITEMS stored items, as many of each class as of the others, in their order."""
    if len(synthetic) <= ITEMS or synthetic.labels is None:
        return list(range(min(len(synthetic), ITEMS)))
    labels = synthetic.labels.numpy()
    place = np.zeros(len(labels), np.int64)  # how many of its class stand before an item
    for label in np.unique(labels):
        place[labels == label] = np.arange(np.sum(labels == label))
    return [int(i) for i in np.sort(np.lexsort((labels, place))[:ITEMS])]
