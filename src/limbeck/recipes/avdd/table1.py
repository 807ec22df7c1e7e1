"""AVDD table 1: sound (a), picture (v) and both (av) on VGGS-10K, each distilled and scored by itself, accuracy (%)."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published import cell, whole

PUBLISHED = """
per_class  method  | a      v      av
1          random  | 14.27  11.65  15.44
1          herding | 26.32  14.72  20.77
1          mtt     | 30.99  24.15  34.13
1          dm      | 29.60  26.40  36.54
10         random  | 32.01  22.71  32.50±2.03
10         herding | 34.58  28.9   39.89
10         mtt     | 36.57  25.41  36.79
10         dm      | 33.60  31.63  43.85
20         random  | 36.78  31.05  45.10
20         herding | 44.11  34.58  50.20
20         mtt     | 45.73  29.52  51.87
20         dm      | 38.93  35.23  49.01
"""

WHOLE = """
 | a      v      av
 | 62.07  48.19  68.24
"""

MODALITIES = {"a": ("audio",), "v": ("image",), "av": ("image", "audio")}


def cells() -> Iterator[Cell]:
    for (per_class, method), row in grid(PUBLISHED):
        for column, figure in row.items():
            name = f"vggs10k/{per_class}/{method}/{column}"
            settings = {"modalities": MODALITIES[column]}
            yield cell(name, {_metric(column): figure}, method, int(per_class), settings=settings)
    for _, row in grid(WHOLE):
        for column, figure in row.items():
            # the modalities of a student share nothing: one training gives all three
            yield whole(f"vggs10k/whole/{column}", {_metric(column): figure})


def _metric(column: str) -> str:
    return "fused" if column == "av" else MODALITIES[column][0]


RECIPE = Recipe(
    name="avdd.table1",
    title="sound, picture and both on VGGS-10K",
    cells=tuple(cells()),
    notes=(
        "Random, 10 per class, av is 32.50 ± 2.03 here and 32.01 ± 1.64 in table 3, which is the figure of sound.",
        "Herding by sound alone looks at features of sound alone.",
    ),
)
