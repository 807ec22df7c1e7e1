"""AVDD table 4, the ablation at 10 per class: first items, factor and loss terms, accuracy (%).

A row's name is its settings: how the first items are chosen, ``factor`` where they are packed 2 x 2, and the loss
terms, of weight 1 (base) and 10 (icm, cgm). A row without loss terms is scored undistilled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limbeck.recipes.cell import Cell, Published, Recipe, grid
from limbeck.recipes.published import cell, fused

PUBLISHED = """
row                         | vggs10k     ave
random                      | 32.01±1.64  20.00±1.45
herding                     | 39.89±1.64  26.86±0.52
herding+factor              | 40.28±2.34  31.80±1.28
herding+factor+base         | 45.31±2.68  34.80±1.68
herding+factor+icm          | 45.73±2.99  35.04±0.90
herding+factor+cgm          | 45.18±2.80  34.67±0.95
herding+factor+base+icm     | 49.07±1.97  35.13±1.14
herding+factor+base+cgm     | 49.16±1.22  35.51±0.78
herding+factor+icm+cgm      | ?           35.43±1.20
herding+factor+base+icm+cgm | 54.99±1.73  36.82±0.88
random+base                 | 43.85±1.75  28.14±1.80
random+base+icm+cgm         | 45.87±2.11  30.71±1.17
herding+base                | 44.47±1.96  32.36±0.72
herding+base+icm+cgm        | ?           33.60±0.66
random+factor+base          | ?           31.51±0.50
random+factor+base+icm+cgm  | ?           35.12±0.80
"""

WEIGHTS = {"base": 1.0, "icm": 10.0, "cgm": 10.0}


def cells() -> Iterator[Cell]:
    for (row,), figures in grid(PUBLISHED):
        for dataset, figure in figures.items():
            yield ablation(f"{dataset}/10/{row}", row, figure)


def ablation(name: str, row: str, figure: Published) -> Cell:
    """``herding+factor+base`` as a cell."""
    init, *rest = row.split("+")
    settings: dict[str, Any] = {"factor": 2 if "factor" in rest else 1}
    weights = {term: weight if term in rest else 0.0 for term, weight in WEIGHTS.items()}
    if not any(weights.values()):
        return cell(name, fused(figure), init, 10, settings=settings)
    return cell(name, fused(figure), "avdd", 10, settings={**settings, "init": init}, method_settings=weights)


RECIPE = Recipe(
    name="avdd.table4",
    title="ablation: first items, factor, loss terms",
    cells=tuple(cells()),
    notes=(
        "ICM + CGM = 2 base for equal weights: a row with both is the row without, at a longer step (21 x for all "
        "three, 20 x for icm + cgm).",
    ),
)
