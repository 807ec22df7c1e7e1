"""Sets of a study side by side: a class a row, a method a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from limbeck.errors import LimbeckError
from limbeck.modalities import Audio, Modality
from limbeck.report.study_read import Study, StudyCell
from limbeck.report.views import SOUND_BYTES, View, shared_limits, views
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SideBySide", "side_by_side"]

ROWS = 12
"""Classes, or pairs, shown at most."""
COLUMNS = 12
"""Methods shown at most."""


@dataclass(frozen=True)
class SideBySide:
    """Items of the sets of one budget and seed.

    Args:
        columns: names of methods. rows: (class, for each column the item's views and captions; None without one).
        undistilled: columns whose items are real.
    """

    budget: str
    seed: int
    columns: list[str]
    rows: list[tuple[str, list[tuple[list[View], list[str]] | None]]]
    undistilled: list[str]
    has_sound: bool
    notes: list[str] = field(default_factory=list)


def side_by_side(study: Study) -> SideBySide | None:
    """The first item of each class, or the first pairs, of each method's set of the smallest budget and first seed.

    None where no such set can be read; notes say which cannot.
    """
    chosen = _smallest(study.state("done"))
    sets: dict[str, SyntheticSet] = {}
    notes = []
    for cell in chosen[:COLUMNS]:
        try:
            sets[cell.label] = SyntheticSet.load(study.folder / cell.run)
        except LimbeckError as error:
            notes.append(f"{cell.label} cannot be shown: {error.what}.")
    if not sets:
        return None
    if len(chosen) > COLUMNS:
        notes.append(f"{COLUMNS} of {len(chosen)} methods are shown.")
    by_class = all(s.labels is not None for s in sets.values())
    first = next(iter(sets.values()))
    names = list(first.classes) if by_class else [f"Pair {k}" for k in range(max(map(len, sets.values())))]
    if len(names) > ROWS:
        notes.append(f"{ROWS} of {len(names)} {'classes' if by_class else 'pairs'} are shown.")
    numbers = {label: _items(s, len(names[:ROWS]), by_class) for label, s in sets.items()}
    shown = _rendered(sets, numbers)
    rows = [
        (name, [None if (item := numbers[label][k]) is None else shown[label][item] for label in sets])
        for k, name in enumerate(names[:ROWS])
    ]
    return SideBySide(
        budget=chosen[0].budget,
        seed=chosen[0].seed,
        columns=list(sets),
        rows=rows,
        undistilled=[label for label, s in sets.items() if s.provenance.get("steps_done") == 0],
        has_sound=any(cell.sound for item in shown.values() for v, _ in item.values() for x in v for cell in x.cells),
        notes=notes,
    )


def _smallest(cells: Sequence[StudyCell]) -> list[StudyCell]:
    """Cells of the smallest budget and its first seed, each method once."""
    if not cells:
        return []
    budget, seed = min((cell.amount, cell.seed) for cell in cells)
    found: dict[str, StudyCell] = {}
    for cell in cells:
        if (cell.amount, cell.seed) == (budget, seed):
            found.setdefault(cell.method, cell)
    return list(found.values())


def _items(synthetic: SyntheticSet, rows: int, by_class: bool) -> list[int | None]:
    """The number of the item that stands in each row."""
    if not by_class or synthetic.labels is None:
        return [k if k < len(synthetic) else None for k in range(rows)]
    labels = synthetic.labels.tolist()
    return [labels.index(k) if k in labels else None for k in range(rows)]


def _rendered(
    sets: Mapping[str, SyntheticSet], numbers: Mapping[str, Sequence[int | None]]
) -> dict[str, dict[int, tuple[list[View], list[str]]]]:
    """Views and captions by method and item; the same decibel are the same colour in every set."""
    limits: dict[str, tuple[float, float] | None] = {}
    shown: dict[str, dict[int, tuple[list[View], list[str]]]] = {}
    for label, synthetic in sets.items():
        items = list(dict.fromkeys(n for n in numbers[label] if n is not None))
        found: list[list[View]] = [[] for _ in items]
        for name, modality in synthetic.modalities.items():
            values: Tensor = synthetic.values[name][items].detach().cpu()
            if name not in limits:
                limits[name] = shared_limits(modality, values)
            heard = _heard(modality, len(items) * len(sets))
            (rendered,) = views(modality, [values], synthetic.factor, heard, limits[name])
            for i, view in enumerate(rendered):
                found[i].append(view)
        shown[label] = {item: (found[i], _words(synthetic, item)) for i, item in enumerate(items)}
    return shown


def _heard(modality: Modality, items: int) -> int:
    """One sound of each item, where all of them fit the page."""
    return int(isinstance(modality, Audio) and items * (2 * modality.samples + 44) <= SOUND_BYTES)


def _words(synthetic: SyntheticSet, item: int) -> list[str]:
    """The item's captions, two at most, of its first cell."""
    return [] if synthetic.captions is None else list(dict.fromkeys(synthetic.captions[item][0]))[:2]
