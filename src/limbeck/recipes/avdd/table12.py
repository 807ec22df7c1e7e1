"""AVDD table 12: students that start from weights trained on VGGSound, AVE, 20 per class, accuracy (%).

Which table of the paper holds these figures is not certain: we know the experiment and not its number, and table 12
is the one we know nothing else of. How the weights were trained is not known either.
"""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, Scoring, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
students    | avdd
scratch     | 40.13
pretrained  | 48.71
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
        "The number of this table is a guess; the experiment is the paper's. The whole training split gives 52.20 "
        "from scratch (table 3).",
    ),
)
