"""ImageBindDC figure 4, the ablation of its terms: AVE through ImageBind, 10 per class, accuracy (%)."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published import fused
from limbeck.recipes.published_imagebind import cell

PUBLISHED = """
terms           | accuracy
uni             | 70.34
cross           | ?
joint           | ?
uni+cross       | ?
uni+joint       | ?
cross+joint     | ?
uni+cross+joint | 73.67
"""

TERMS = ("uni", "cross", "joint")


def cells() -> Iterator[Cell]:
    for (terms,), row in grid(PUBLISHED):
        off = {term: 0.0 for term in TERMS if term not in terms.split("+")}
        name = f"ave-imagebind/10/{terms}"
        yield cell(name, fused(row["accuracy"]), "imagebinddc", 10, method_settings=off)


RECIPE = Recipe(
    name="imagebind.figure4",
    title="ablation: uni-modal, cross-modal and joint terms",
    cells=tuple(cells()),
    sets=1,
    notes=("Two of the figures are in the paper's text; which of the other rows it draws is not in our copy.",),
)
