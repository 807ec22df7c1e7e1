"""AVDD table 8: the factor l, VGGS-10K, 10 per class, accuracy (%)."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
factor | avdd
1      | 45.66±2.53
2      | 54.99±1.73
3      | 54.53±1.57
"""


def cells() -> Iterator[Cell]:
    for (factor,), row in grid(PUBLISHED):
        settings = {"factor": int(factor)}
        yield cell(f"vggs10k/10/factor{factor}", fused(row["avdd"]), "avdd", 10, settings=settings)


RECIPE = Recipe(name="avdd.table8", title="the factor", cells=tuple(cells()))
