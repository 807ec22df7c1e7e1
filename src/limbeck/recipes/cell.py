"""What a recipe is: a published table, cell by cell, each with its figure and the settings that should reach it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from limbeck.errors import ConfigError, nearest

__all__ = ["Cell", "Published", "Recipe", "Scoring", "grid", "number"]

MISSING = {"-": "not in the paper", "?": "lost", "OOM": "out of memory in the paper"}
"""Why there is no figure: the paper prints none, our copy of it does not show it, or the authors' machine was full."""


@dataclass(frozen=True)
class Published:
    """A figure as its paper prints it; ``missing`` says why there is none."""

    mean: float | None
    std: float | None = None
    missing: str = ""

    def __str__(self) -> str:
        if self.mean is None:
            return self.missing
        return f"{self.mean:.2f}" if self.std is None else f"{self.mean:.2f} ± {self.std:.2f}"

    def to_dict(self) -> dict[str, float | str | None]:
        """JSON-ready."""
        return {"mean": self.mean, "std": self.std, "missing": self.missing or None}


@dataclass(frozen=True)
class Scoring:
    """How a cell's sets are scored.

    Args:
        protocol: `limbeck protocols` lists them.
        student: the architecture.
        fusion: of the student's modalities; None takes the protocol's.
        pretrained: students start from given weights instead of their own.
        captions: the encoder of the student's captions, where pairs are scored; None takes the set's.
        as_published: with what belongs to the set (similarity, learnt rates, loss), where pairs are scored.
    """

    protocol: str = "recognition-avdd"
    student: str = "convnet"
    fusion: str | None = None
    pretrained: bool = False
    captions: str | None = None
    as_published: bool = False

    @property
    def told(self) -> dict[str, Any]:
        """What a score hangs on, JSON-ready; the last two where they are given."""
        late = {"captions": self.captions, "as_published": self.as_published}
        return {k: v for k, v in vars(self).items() if k not in late} | {k: v for k, v in late.items() if v}


@dataclass(frozen=True)
class Cell:
    """One cell of a table: what to run, and what the paper got.

    Args:
        name: its place, such as ``ave/10/avdd``; the first piece is the data set.
        published: figures by metric of the score.
        method: of the distillation; None scores the whole training split.
        settings: of the run, at published size.
        method_settings: of the method.
        scoring: None where only the sets are looked at.
        note: what is not as the paper has it, or what the paper leaves open.
        best_step: the step whose set was published, chosen by test scores; None where the paper names none.
        refused: why the library does not offer the run; its figure stands in the table all the same.
    """

    name: str
    published: Mapping[str, Published]
    method: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    method_settings: Mapping[str, Any] = field(default_factory=dict)
    scoring: Scoring | None = field(default_factory=Scoring)
    note: str = ""
    best_step: int | None = None
    refused: str = ""

    @property
    def dataset(self) -> str:
        return self.name.partition("/")[0]

    @property
    def by_pairs(self) -> bool:
        """Whether pairs of picture and caption are looked at, and not classes."""
        return "captions" in self.settings

    @property
    def drawn(self) -> bool:
        """Whether another seed gives another set: a coreset that is not drawn is one set."""
        return self.method not in (None, "herding") and (self.method != "kcenter" or self.by_pairs)

    def under(self, place: str) -> bool:
        """Whether ``place`` is this cell or a row or column it stands in (``ave``, ``ave/10``)."""
        return f"{self.name}/".startswith(place.rstrip("/") + "/")


@dataclass(frozen=True)
class Recipe:
    """A published table or figure.

    Args:
        name: paper and number, ``avdd.table3``; the file it stands in is called the same.
        title: what it shows.
        sets: distillations behind a published figure.
        notes: what a reader must know before comparing.
        drawing: for figures, the function of :mod:`limbeck.recipes.figures` that draws it.
    """

    name: str
    title: str
    cells: Sequence[Cell]
    sets: int = 3
    notes: Sequence[str] = ()
    drawing: str | None = None

    def chosen(self, places: Sequence[str]) -> list[Cell]:
        """The cells under any of ``places``, in the table's order; all of them for none.

        Raises ConfigError, naming the nearest cell, on a place that has none.
        """
        for place in places:
            if not any(cell.under(place) for cell in self.cells):
                known = {cell.name for cell in self.cells}
                hint = f"{nearest(place, known)} `limbeck recipes {self.name}` lists them."
                raise ConfigError(f"{self.name} has no cell {place!r}", where="--cell", hint=hint)
        return [cell for cell in self.cells if not places or any(cell.under(place) for place in places)]

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(cell.dataset for cell in self.cells))

    @property
    def span(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest published figure by metric."""
        found: dict[str, list[float]] = {}
        for cell in self.cells:
            for metric, figure in cell.published.items():
                if figure.mean is not None:
                    found.setdefault(metric, []).append(figure.mean)
        return {metric: (min(values), max(values)) for metric, values in found.items()}


def number(word: str) -> Published:
    """``36.82±0.88``, ``36.82``, ``-`` (not in the paper), ``?`` (lost) or ``OOM``."""
    if word in MISSING:
        return Published(None, missing=MISSING[word])
    mean, _, std = word.partition("±")
    return Published(float(mean), float(std) if std else None)


def grid(text: str) -> Iterator[tuple[list[str], dict[str, Published]]]:
    """The rows of a table written as in its paper: words left of ``|`` say which row, the first line names the columns.

    A ``.`` is no cell at all. Raises ConfigError on a row of another length than the header.
    """
    header, *rows = [line for line in text.splitlines() if line.strip()]
    columns = header.partition("|")[2].split()
    for row in rows:
        keys, _, words = row.partition("|")
        if len(words.split()) != len(columns):
            raise ConfigError(f"{len(words.split())} figures for {len(columns)} columns: {row.strip()}")
        yield keys.split(), {c: number(w) for c, w in zip(columns, words.split(), strict=True) if w != "."}
