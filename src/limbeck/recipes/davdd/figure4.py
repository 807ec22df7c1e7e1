"""DAVDD figure 4: how steadily the losses of AVDD and DAVDD fall."""

from __future__ import annotations

from limbeck.recipes.cell import Recipe
from limbeck.recipes.published import cell

RECIPE = Recipe(
    name="davdd.figure4",
    title="stability of the loss",
    cells=tuple(cell(f"vggs10k/10/{method}", {}, method, 10, scoring=None) for method in ("avdd", "davdd")),
    sets=1,
    notes=("Data set and budget are our choice: VGGS-10K, 10 per class.",),
    drawing="loss_stability",
)
