"""DAVDD table 4: sets scored by other students, VGGS-10K, 1 per class, accuracy (%). MTT, DM and most of AVDD are the
figures of avdd.table5, rounded."""

from __future__ import annotations

from limbeck.recipes.avdd.table5 import RECIPE as OTHERS
from limbeck.recipes.avdd.table5 import cells
from limbeck.recipes.cell import Recipe

PUBLISHED = """
method | convnet   vgg11     lenet     resnet18  alexnet
mtt    | 34.1±3.6  30.2±1.3  23.9±3.1  24.7±1.5  22.6±1.4
dm     | 36.5±2.5  27.0±3.6  26.1±2.7  22.0±1.0  26.7±1.8
avdd   | 40.2±1.6  34.0±1.8  32.4±5.2  30.5±2.0  31.7±2.7
davdd  | 41.9±1.2  34.6±1.6  31.8±3.7  31.0±1.6  31.9±1.9
"""

RECIPE = Recipe(
    name="davdd.table4",
    title="cross-architecture students of DAVDD",
    cells=tuple(cells(PUBLISHED)),
    sets=5,
    notes=(*OTHERS.notes, "AVDD's ConvNet was run again: 40.2 here, 40.41 in its own paper."),
)
