"""AVDD table 13: items of ten seconds instead of one, accuracy (%)."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
dataset      per_class | random      herding     dm          avdd
vggs10k-10s  1         | 25.33±2.01  22.21±0.78  25.33±2.01  39.14±3.59
vggs10k-10s  20        | 46.10±1.97  49.25±1.26  49.75±2.14  53.05±2.36
ave-10s      1         | 9.50±1.22   12.84±0.70  12.54±0.92  17.22±2.52
ave-10s      20        | 27.36±2.01  30.00±0.98  30.05±2.34  44.98±1.04
"""


def cells() -> Iterator[Cell]:
    for (dataset, per_class), row in grid(PUBLISHED):
        for method, figure in row.items():
            yield cell(f"{dataset}/{per_class}/{method}", fused(figure), method, int(per_class))


RECIPE = Recipe(
    name="avdd.table13",
    title="items of ten seconds",
    cells=tuple(cells()),
    notes=(
        "The paper gives no details: ours take the centre frame and ten seconds of sound by the same transform "
        "(1 x 128 x 551).",
        "Random and DM at 1 per class on VGGS-10K have the same figure, 25.33, in the paper.",
    ),
)
