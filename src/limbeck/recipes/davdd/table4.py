"""DAVDD table 4: its sets scored by other students, VGGS-10K, 1 per class, accuracy (%). The other rows are those of
avdd.table5."""

from __future__ import annotations

from limbeck.recipes.avdd.table5 import RECIPE as OTHERS
from limbeck.recipes.avdd.table5 import cells
from limbeck.recipes.cell import Recipe

PUBLISHED = """
method | convnet  vgg11  lenet  resnet18  alexnet
davdd  | 41.9     34.6   31.8   31.0      31.9
"""

RECIPE = Recipe(
    name="davdd.table4",
    title="cross-architecture students of DAVDD",
    cells=tuple(cells(PUBLISHED)),
    sets=5,
    notes=OTHERS.notes,
)
