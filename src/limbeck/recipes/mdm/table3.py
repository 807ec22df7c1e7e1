"""MDM table 3 and its supplement: what distilling took. Seconds a step, and minutes of steps until the best set."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published_pairs import cell

PUBLISHED = """
dataset    pairs  method | s/step  min
flickr8k   100    lors   | 5.43    76.9
flickr8k   200    lors   | 6.60    137.5
flickr8k   500    lors   | 5.27    206.4
flickr8k   100    mdm    | 1.72    5.73
flickr8k   200    mdm    | 2.39    7.97
flickr8k   500    mdm    | 4.41    3.68
flickr30k  500    mdm    | .       4.85
coco       500    mdm    | .       46.08
"""
"""The last two are 291 and 2,765 seconds in the supplement."""


def cells() -> Iterator[Cell]:
    for (dataset, pairs, method), row in grid(PUBLISHED):
        yield cell(f"{dataset}/{pairs}/{method}", row, method, int(pairs), scoring=None)


RECIPE = Recipe(
    name="mdm.table3",
    title="cost of distilling image-text pairs",
    cells=tuple(cells()),
    sets=1,
    notes=(
        "Of one A6000. MDM's seconds hold the merging of models; neither method's hold experts, first items or "
        "scoring, and experts are 99 % of all: 25.7 h (Flickr30k) and 91.7 h (COCO) for twenty.",
        "First items of MDM at 500 pairs took 219 s on Flickr30k and 953 s on COCO.",
        "min: steps until the best set, on the test split there and on the validation split here.",
    ),
)
