"""ImageBindDC table 3: depth and scene name (NYU-v2) through an ImageBind with random weights, accuracy (%) of both."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Published, Recipe, Scoring, grid, number
from limbeck.recipes.published_imagebind import cell, whole

PUBLISHED = """
method      | 1           2           5          10
random      | 60.60±2.43  69.22±1.87  73.85±1.42 88.38±3.05
dm          | 67.97±11.69 75.25±12.92 89.08±4.96 96.89±1.26
avdd        | 72.22±10.03 81.30±2.84  95.92±1.63 98.62±0.45
imagebinddc | 80.43±0.44  88.33±4.99  97.30±1.17 98.73±1.04
"""

WHOLE = number("98.62±0.25")

SCRATCH = Scoring("recognition-scratch", "imagebind-base")
GUIDE = {"pretrained": "none", "fixed": ("text",), "modalities": ("depth", "text")}
"""Random weights; the text of an item is its scene's name and stays it."""


def cells() -> Iterator[Cell]:
    for (method,), row in grid(PUBLISHED):
        settings = {"modalities": GUIDE["modalities"]} if method == "random" else GUIDE
        for per_class, figure in row.items():
            name = f"nyu_v2/{per_class}/{method}"
            yield cell(name, beside_depth(figure), method, int(per_class), settings=settings, scoring=SCRATCH)
    yield whole("nyu_v2/whole", beside_depth(WHOLE), SCRATCH)


def beside_depth(figure: Published) -> dict[str, Published]:
    """The figure, and a place for the score of depth alone, which the paper does not print."""
    return {"fused": figure, "depth": number("-")}


RECIPE = Recipe(
    name="imagebind.table3",
    title="depth and scene name",
    cells=tuple(cells()),
    notes=(
        "The text of an item is the name of its scene, which is its label, in the test split too: whoever reads the "
        "text has the answer. The score of depth alone stands beside.",
        "Number of classes and split are not stated: ours are the ten of the usual protocol (nine and `others`) and "
        "the labelled set's 795 and 654 [choice]. No code for this table is public.",
        "The paper trains an ImageBind of the guide's size from scratch; ours is the smaller `imagebind-base`.",
    ),
)
