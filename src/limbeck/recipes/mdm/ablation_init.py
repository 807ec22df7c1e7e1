"""MDM's ablation of the first items: Flickr8k, 100 pairs, mean of the six recalls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published_pairs import cell

PUBLISHED = """
row     | Mean
noise   | 0.5
random  | 20.6
image   | 20.8
text    | 20.7
joint   | 21.9
kcenter | 20.8
herding | 21.5
"""
"""The third to the fifth are k-means medoids of the pictures alone, the texts alone, and both."""

CLUSTERS = {"image": "first", "text": "second", "joint": "joint"}


def cells() -> Iterator[Cell]:
    for (row,), figures in grid(PUBLISHED):
        run: dict[str, Any] = {"init": "kmeans" if row in CLUSTERS else row}
        own = {"cluster": CLUSTERS[row]} if row in CLUSTERS else {}
        yield cell(f"flickr8k/100/{row}", figures, "mdm", 100, settings=run, method_settings=own)


RECIPE = Recipe(
    name="mdm.ablation_init",
    title="MDM from other first items",
    cells=tuple(cells()),
    sets=1,
    notes=("Noise has mean and deviation of the real values as they are normalised, BERT's vectors included.",),
)
