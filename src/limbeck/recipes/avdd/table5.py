"""AVDD table 5: sets of a ConvNet scored by other students, VGGS-10K, 1 per class, accuracy (%)."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, Scoring, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
method | convnet     vgg11       lenet       resnet18    alexnet
mtt    | 34.13±3.62  30.16±1.30  23.93±3.14  24.65±1.53  22.62±1.39
dm     | 36.54±2.52  26.95±3.59  26.14±2.66  21.99±1.03  26.68±1.82
avdd   | 40.41±1.81  34.00±1.81  32.37±5.23  30.48±1.98  31.69±2.72
"""


def cells(published: str = PUBLISHED) -> Iterator[Cell]:
    for (method,), row in grid(published):
        for student, figure in row.items():
            yield cell(f"vggs10k/1/{method}/{student}", fused(figure), method, 1, scoring=Scoring(student=student))


RECIPE = Recipe(
    name="avdd.table5",
    title="cross-architecture students",
    cells=tuple(cells()),
    notes=(
        "Neither paper nor code defines the other students at this size: ours keep the trunks of the field and pool "
        "to their native grid, so figures of other students than convnet are not strictly comparable.",
    ),
)
