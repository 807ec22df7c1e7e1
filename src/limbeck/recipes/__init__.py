"""The published tables, cell by cell: one folder a paper, one file a table, found by itself.

``avdd.table3`` is ``limbeck/recipes/avdd/table3.py``: its figures as the paper prints them, and the settings of each.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.errors import ConfigError, nearest

if TYPE_CHECKING:
    from limbeck.recipes.cell import Recipe

__all__ = ["recipe", "recipes"]

PAPERS = ("avdd", "davdd", "mdm", "imagebind")


def recipes() -> dict[str, Recipe]:
    """Every recipe by name: numbered tables, tables whose number we do not have, figures, in the papers' order."""
    found = {}
    for paper in PAPERS:
        folder = str(Path(__file__).parent / paper)
        for module in pkgutil.iter_modules([folder]):
            own = importlib.import_module(f"{__name__}.{paper}.{module.name}").RECIPE
            found[own.name] = own
    return dict(sorted(found.items(), key=lambda entry: _order(entry[0])))


def _order(name: str) -> tuple[int, bool, bool, int, str]:
    paper, _, place = name.partition(".")
    number = re.sub(r"\D", "", place)
    return PAPERS.index(paper), place.startswith("figure"), not number, int(number or 0), place


def recipe(name: str) -> Recipe:
    """The recipe called ``name``. Raises ConfigError with the nearest name."""
    known = recipes()
    if name not in known:
        raise ConfigError(f"unknown recipe {name!r}", hint=nearest(name, known))
    return known[name]
