"""AVDD table 12: students that start from weights trained on VGGSound, AVE, 20 per class, accuracy (%).

How the weights were trained is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, Scoring, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
students   | avdd
scratch    | 40.13±1.00
pretrained | 48.71±1.31
"""


def cells() -> Iterator[Cell]:
    for (students,), row in grid(PUBLISHED):
        scoring = Scoring(pretrained=students == "pretrained")
        note = "needs --weights" if scoring.pretrained else ""
        yield cell(f"ave/20/{students}", fused(row["avdd"]), "avdd", 20, scoring=scoring, note=note)


RECIPE = Recipe(
    name="avdd.table12",
    title="students that start from given weights",
    cells=tuple(cells()),
    notes=(
        "How the paper's weights were trained is not known. The whole training split gives 52.20 from scratch "
        "(table 3).",
    ),
)
