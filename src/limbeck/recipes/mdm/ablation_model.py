"""MDM's ablation of the networks a step looks through: Flickr8k, 100 pairs, mean of the six recalls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published_pairs import cell

MODELS = """
model      | Mean
pretrained | 6.8
expert     | 17.8
naive      | 19.6
merged     | 21.9
"""
"""The untouched start; one expert at one epoch; it and the start in random shares; two experts merged by tensor."""

ALPHAS = """
alpha | Mean
0     | 7
0.1   | 16
0.3   | 19
0.4   | 20
0.5   | 22
0.6   | 21.5
0.7   | 21.5
0.8   | 21.5
0.9   | 20.5
1     | 18.5
"""
"""How far towards the experts; read off a plot."""

EXPERTS = """
experts | Mean
2       | 21.3
5       | 21.5
10      | 21.6
20      | 21.8
"""
"""Trained, two of which are merged at a step."""


def cells() -> Iterator[Cell]:
    for (word,), row in grid(MODELS):
        yield _cell(f"model/{word}", row, {"model": word})
    for (word,), row in grid(ALPHAS):
        yield _cell(f"alpha/{word}", row, {"alpha": float(word)}, note="read off a plot")
    for (word,), row in grid(EXPERTS):
        yield _cell(f"experts/{word}", row, {"experts": int(word)})


def _cell(place: str, row: Any, own: dict[str, Any], note: str = "") -> Cell:
    return cell(f"flickr8k/100/{place}", row, "mdm", 100, method_settings=own, note=note)


RECIPE = Recipe(
    name="mdm.ablation_model",
    title="MDM under other models, other alphas and fewer experts",
    cells=tuple(cells()),
    sets=1,
    notes=("With twenty experts the same run is 21.8 here and 21.9 in table 1.",),
)
