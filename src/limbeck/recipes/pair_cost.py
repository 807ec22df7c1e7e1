"""What a cell of image-text pairs should take at published size, from what its papers say they took.

Seconds are the papers' own, of NFNet-L0 at 224 x 224 on their machines and with their loops; ours are faster in ways
docs/image_text.md lists, which no number here counts. Good to a factor of three.
"""

from __future__ import annotations

from typing import Any

from limbeck.recipes.cell import Cell, Recipe
from limbeck.recipes.datasets import DataSet

__all__ = ["PAIR_MACHINE", "pair_cost"]

PAIR_MACHINE = "one A6000-class GPU (48 GB), fp32"
"""What the seconds are of."""

EXPERTS, EPOCHS = 20, 10
ROW = 25.7 * 3600 / (EXPERTS * EPOCHS * 145_000)
"""Seconds of training on one pair: the hours of MDM's experts on Flickr30k over the pairs they saw."""
LOOKED = ROW / 3
"""Of a forward pass alone: a third of forward and backward."""
CLUSTERED = 219 / 145_000
"""Seconds of MDM's first items by caption, Flickr30k."""
STUDENTS, STUDENT_EPOCHS = 5, 100
WARM_UP = {"herding": 5, "kcenter": 5, "forgetting": 10}
"""Epochs on all pairs before a choice (MDM, supplement)."""

STEP = {
    "mdm": {100: 1.72, 200: 2.39, 500: 4.41},
    "lors": {100: 5.43, 200: 6.60, 500: 5.27},
    "tesla_wbce": {100: 5.43, 200: 6.60, 500: 5.27},
    "mtt_vl": {100: 16.9, 200: 16.9, 500: 16.9},
}
"""Seconds: MDM's table 3 (Flickr8k); TESLA's steps are LoRS's; MTT's are what CovMatch is said to quote, with a
trained text encoder."""
MEMORY = {"lors": 21.8, "tesla_wbce": 21.8, "mtt_vl": 71.0}
"""Gigabytes: LoRS as RepBlend is said to quote it, MTT as CovMatch is; MDM's nobody says."""


def pair_cost(recipe: Recipe, cell: Cell, data: DataSet) -> tuple[float, float, float | None]:
    """(seconds of all sets of a cell and their students, seconds of what all runs on the data set share, gigabytes)."""
    sets = recipe.sets if cell.drawn else 1
    pairs = cell.settings.get("pairs", data.captions)
    student = STUDENT_EPOCHS * pairs * ROW + data.test * LOOKED
    steps = _steps(cell)
    looks = steps // cell.settings["validate_every"] + 1 if steps else 0
    step = STEP[cell.method][pairs] if cell.method in STEP else 0.0
    scored = STUDENTS * student if cell.scoring is not None else 0.0
    seconds = sets * (steps * step + looks * JUDGES * student + scored)
    return seconds, _once(cell, data), MEMORY.get(cell.method or "")


def _steps(cell: Cell) -> int:
    """As many as are taken where the validation split likes the step that the test split liked."""
    steps, patience = cell.settings.get("steps", 0), cell.settings.get("patience")
    if not steps or cell.best_step is None or patience is None:
        return int(steps)
    return int(min(steps, cell.best_step + patience * cell.settings["validate_every"]))


def _once(cell: Cell, data: DataSet) -> float:
    """Experts, networks that coresets look through, and the features of MDM's first items."""
    own: Any = cell.method_settings
    if cell.method in WARM_UP:
        return WARM_UP[cell.method] * data.captions * ROW
    if cell.method == "mdm":
        clustered = data.captions * CLUSTERED if cell.settings["init"] == "kmeans" else 0.0
        return int(own.get("experts", EXPERTS)) * EPOCHS * data.captions * ROW + clustered
    if cell.method in STEP:  # no epoch is trained that no step starts from or aims at
        return EXPERTS * int(own.get("max_start_epoch", 2)) * data.captions * ROW
    return 0.0


JUDGES = 1
"""Students of a look at the validation split."""
