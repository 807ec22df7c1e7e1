"""AVDD figure 10: accuracy against steps of DM and AVDD, with factor 1, 2 and 3, from herding's or random items.

Its data set and budget are not in our copy of the paper: VGGS-10K and 10 per class, as its other ablations [choice].
"""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe
from limbeck.recipes.published import cell

EVERY = 1000


def cells() -> Iterator[Cell]:
    for init in ("herding", "random"):
        for method in ("dm", "avdd"):
            for factor in (1, 2, 3):
                settings = {"init": init, "factor": factor, "snapshots": EVERY}
                yield cell(f"vggs10k/10/{init}/{method}/factor{factor}", {}, method, 10, settings=settings)


RECIPE = Recipe(
    name="avdd.figure10",
    title="accuracy against steps",
    cells=tuple(cells()),
    notes=("Data set and budget are our choice: VGGS-10K, 10 per class.",),
    drawing="accuracy_against_steps",
)
