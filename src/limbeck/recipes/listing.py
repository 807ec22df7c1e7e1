"""What `limbeck recipes` prints: the tables, and the cells of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.recipes import recipes
from limbeck.recipes.cell import Cell, Published, Recipe
from limbeck.recipes.cost import cell_cost

__all__ = ["CELLS", "TABLES", "cell_card", "cell_rows", "list_cells", "list_recipes", "recipe_rows", "title"]

TABLES = ("recipe", "what", "cells", "data sets", "published")
COSTS = ("s/step", "min", "s", "GB")
CELLS = ("cell", "published", "method", "time", "once", "memory")


def list_recipes() -> list[dict[str, Any]]:
    """Every table and figure, JSON-ready."""
    return [
        {
            "name": r.name,
            "title": r.title,
            "kind": "figure" if r.name.partition(".")[2].startswith("figure") else "table",
            "cells": len(r.cells),
            "datasets": r.datasets,
            "published": {metric: list(span) for metric, span in r.span.items()},
            "sets": r.sets,
            "notes": list(r.notes),
        }
        for r in recipes().values()
    ]


def recipe_rows(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """(recipe, title, cells, data sets, published) for a terminal."""
    return [[r["name"], r["title"], str(r["cells"]), ", ".join(r["datasets"]), _span(r["published"])] for r in found]


def _span(published: Mapping[str, Sequence[float]]) -> str:
    if not published:
        return "a picture"
    accuracy = {m: s for m, s in published.items() if not m.endswith("MedR") and m not in COSTS}
    if not accuracy:
        return "costs"
    low, high = min(s[0] for s in accuracy.values()), max(s[1] for s in accuracy.values())
    return f"{low:.1f} to {high:.1f} %"


def list_cells(recipe: Recipe, places: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The cells of a recipe, JSON-ready."""
    return [cell_card(recipe, cell) for cell in recipe.chosen(places)]


def cell_card(recipe: Recipe, cell: Cell) -> dict[str, Any]:
    """A cell: published figures, settings at published size, and what it should take."""
    return {
        "name": cell.name,
        "recipe": recipe.name,
        "published": {metric: figure.to_dict() for metric, figure in cell.published.items()},
        "method": cell.method or "whole",
        "settings": dict(cell.settings),
        "method_settings": dict(cell.method_settings),
        "scoring": None if cell.scoring is None else cell.scoring.told,
        "sets": recipe.sets if cell.drawn else 1,
        "cost": cell_cost(recipe, cell).to_dict(),
        "note": cell.note,
        "published_best_step": cell.best_step,
        "refused": cell.refused or None,
    }


def title(recipe: Recipe) -> str:
    """Above the cells of a recipe: its title, what the columns mean, and its notes."""
    machine = cell_cost(recipe, recipe.cells[0]).machine
    lines = [f"{recipe.name}: {recipe.title}", f"time and memory are estimates for {machine}"]
    reasons: dict[str, list[str]] = {}
    for cell in recipe.cells:
        if cell.refused and str(cell.method) not in reasons.setdefault(cell.refused, []):
            reasons[cell.refused].append(str(cell.method))
    lines += [f"not offered: {', '.join(methods)}: {reason}" for reason, methods in reasons.items()]
    return "\n".join([*lines, *recipe.notes])


def cell_rows(cards: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """(cell, published, method, hours, hours that all its data set's cells share, memory), one row a figure."""
    found = []
    for card in cards:
        cost = card["cost"]
        memory = "?" if cost["memory_gb"] is None else f"{cost['memory_gb']:.0f} GB"
        method = f"{card['method']}, not offered" if card["refused"] else card["method"]
        rest = [method, _hours(cost["hours"]), _hours(cost["hours_once"]), memory]
        for metric, figure in (card["published"] or {"": None}).items():
            found.append([card["name"], _shown(metric, figure), *rest])
            rest = [""] * len(rest)
    return found


def _shown(metric: str, figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    text = str(Published(figure["mean"], figure["std"], figure["missing"] or ""))
    return text if metric == "fused" else f"{metric} {text}"


def _hours(count: float) -> str:
    return f"{count:.1f} h" if count >= 0.05 else "-" if not count else "minutes"
