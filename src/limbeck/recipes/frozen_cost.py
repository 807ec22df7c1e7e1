"""What a cell through ImageBind should take at published size: from its multiplications, as others are estimated.

Sound is three clips. Real items are looked at once, or once for each augmented view, for all runs on the data.
"""

from __future__ import annotations

from limbeck.recipes.cell import Cell, Recipe
from limbeck.recipes.datasets import DataSet

__all__ = ["frozen_cost", "vector_cost"]

FORWARD = {"image": 168e9, "audio": 3 * 20.5e9, "depth": 4.5e9, "text": 23.5e9}
"""Multiplications of an item: half of its operations."""
CONVNET = {"image": 2630e6, "audio": 374e6}
"""The same of a ConvNet that scores a set."""
SPEED = 6e12
"""Multiplications a second, those of :mod:`limbeck.recipes.cost`."""
EPOCHS, STUDENTS, VIEWS = 30, 5, 16
PIXEL_PASS, WEIGHT_PASS = 2, 3

MEMORY = {1: 5.60, 10: 8.14, 20: 13.39}
"""Gigabytes, by items of a class: ImageBindDC's table 6, of VGGS-10K."""

STEP, BATCH = 0.004, 0.003
"""Seconds of a step and of a student's batch on vectors [guess: a few dozen small kernels]."""
PAIR_EPOCHS, PAIR_BATCH = 100, 16


def frozen_cost(recipe: Recipe, cell: Cell, data: DataSet) -> tuple[float, float, float | None]:
    """(seconds of all sets of a cell and their students, seconds of what all runs on the data share, gigabytes)."""
    names = tuple(cell.settings.get("modalities") or data.modalities)
    forward = sum(FORWARD[name] for name in names) / SPEED
    items = data.classes * cell.settings.get("per_class", 0)
    distilled = cell.settings.get("steps", 0) * items * PIXEL_PASS * forward
    views = VIEWS if cell.settings.get("augment") else 1
    once = views * data.train * forward if cell.settings.get("steps") else 0.0
    trained = items if cell.method else data.train
    scored = 0.0
    if cell.scoring is not None and cell.scoring.student == "convnet":
        scored = (EPOCHS * trained * WEIGHT_PASS + data.test) * sum(CONVNET.get(n, 0.0) for n in names) / SPEED
    elif cell.scoring is not None:
        scratch = WEIGHT_PASS if cell.scoring.protocol == "recognition-scratch" else 1
        scored = (EPOCHS * trained * scratch + data.test / STUDENTS) * forward
    sets = recipe.sets if cell.drawn else 1
    memory = MEMORY.get(cell.settings["per_class"]) if distilled and names == ("image", "audio") else None
    return sets * (distilled + STUDENTS * scored), once, memory


def vector_cost(recipe: Recipe, cell: Cell, data: DataSet) -> tuple[float, float, float | None]:
    """The same of pairs of vectors; memory is nothing to speak of."""
    pairs = cell.settings.get("pairs", data.captions)
    scored = STUDENTS * PAIR_EPOCHS * -(-pairs // PAIR_BATCH) * BATCH
    sets = recipe.sets if cell.drawn else 1
    return sets * (cell.settings.get("steps", 0) * STEP + scored), 0.0, None
