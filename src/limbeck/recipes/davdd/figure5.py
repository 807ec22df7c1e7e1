"""DAVDD figure 5: an item as it began, and what DM, AVDD and DAVDD made of it.

All start from herding's picks at factor 2, so that they start from the same item; DM's tables start elsewhere.
"""

from __future__ import annotations

from limbeck.recipes.cell import Recipe
from limbeck.recipes.published import cell

SAME = {"init": "herding", "factor": 2}

RECIPE = Recipe(
    name="davdd.figure5",
    title="the same item under several methods",
    cells=tuple(
        cell(f"vggs10k/10/{method}", {}, method, 10, settings=SAME, scoring=None) for method in ("dm", "avdd", "davdd")
    ),
    sets=1,
    notes=("DM starts from herding's items at factor 2 here, as the others do.",),
    drawing="side_by_side",
)
