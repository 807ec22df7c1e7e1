"""AVDD figure 7: for a sound the three nearest pictures of the test set, and for a picture the three nearest sounds."""

from __future__ import annotations

from limbeck.recipes.avdd.table6 import RETRIEVAL
from limbeck.recipes.cell import Recipe
from limbeck.recipes.published import cell

DATASETS = ("vggs10k", "music21", "ave")

RECIPE = Recipe(
    name="avdd.figure7",
    title="the three nearest, from sound to picture and back",
    cells=tuple(cell(f"{dataset}/20/avdd", {}, "avdd", 20, scoring=RETRIEVAL) for dataset in DATASETS),
    sets=1,
    drawing="three_nearest",
)
