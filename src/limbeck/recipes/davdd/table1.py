"""DAVDD table 1: accuracy (%) of sound and picture together. Its baselines are AVDD's printed figures, rounded
(avdd.table3), but for AVDD, which was run again."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
dataset  per_class | avdd      davdd
vggs10k  1         | 40.2±1.6  41.9±1.2
vggs10k  10        | 54.0±1.8  56.2±1.0
vggs10k  20        | 57.7±1.7  59.1±1.2
music21  1         | 44.2±2.0  45.7±1.8
music21  10        | 66.9±1.2  67.8±0.9
music21  20        | 69.7±0.8  71.4±0.9
ave      1         | 22.7±1.5  23.6±1.1
ave      10        | 35.9±0.9  37.3±0.6
ave      20        | 40.0±1.2  ?
"""


def cells() -> Iterator[Cell]:
    for (dataset, per_class), row in grid(PUBLISHED):
        for method, figure in row.items():
            note = "the text implies 40.9 to 41.4" if figure.mean is None else ""
            yield cell(f"{dataset}/{per_class}/{method}", fused(figure), method, int(per_class), note=note)


RECIPE = Recipe(
    name="davdd.table1",
    title="DAVDD beside AVDD",
    cells=tuple(cells()),
    sets=5,
    notes=(
        "AVDD was run again by DAVDD's authors: 54.0 at VGGS-10K, 10 per class, where its own paper has 54.99.",
        "Pixel rate, momentum and steps are not stated; ours are AVDD's.",
    ),
)
