"""AVDD table 2: four ways to fuse a student's modalities, trained on DM's sets of VGGS-10K, accuracy (%)."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, Scoring, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
per_class | concat      sum         attention   ensemble
1         | 33.77±1.65  ?           ?           36.54±2.52
10        | 41.71±1.27  40.49±1.83  10.11±0.35  43.85±1.75
20        | 46.59±1.34  46.05±1.74  11.10±1.88  49.01±2.44
"""


def cells() -> Iterator[Cell]:
    for (per_class,), row in grid(PUBLISHED):
        for fusion, figure in row.items():
            scoring = Scoring(fusion=None if fusion == "ensemble" else fusion)  # it is the protocol's own
            yield cell(f"vggs10k/{per_class}/{fusion}", fused(figure), "dm", int(per_class), scoring=scoring)


RECIPE = Recipe(
    name="avdd.table2",
    title="fusion of the student's modalities, on DM's sets",
    cells=tuple(cells()),
    notes=("The released code has only the ensemble; the others follow appendix D, attention in part inferred.",),
)
