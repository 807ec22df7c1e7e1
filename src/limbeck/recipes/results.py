"""What was scored, beside what was published: never in one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.files import read_json, write_bytes, write_json
from limbeck.recipes.cell import Cell, Published
from limbeck.recipes.datasets import DATASETS, differences
from limbeck.recipes.timing import timing

if TYPE_CHECKING:
    from limbeck.errors import LimbeckError
    from limbeck.recipes.work import Work

__all__ = ["COLUMNS", "markdown", "rows", "rows_before", "table", "write_table"]


def table(work: Work, cells: Sequence[Cell], errors: Mapping[str, LimbeckError] | None = None) -> dict[str, Any]:
    """The cells with what is on disk of them, JSON-ready. ``errors``: of the cells that failed."""
    reasons = {d: differences(DATASETS[d], work.store) for d in dict.fromkeys(cell.dataset for cell in cells)}
    notes = list(work.recipe.notes)
    notes += [
        f"not comparable with {DATASETS[d].title}'s figures: {'; '.join(why)}" for d, why in reasons.items() if why
    ]
    if not work.scale.published:
        notes.append("not comparable with any published figure: this is a run at small scale")
    return {
        "name": work.recipe.name,
        "title": work.recipe.title,
        "data": work.store.name,
        "data_hash": work.store.data_hash,
        "scale": work.scale.name,
        "notes": notes,
        "cells": [_row(work, cell, (errors or {}).get(cell.name)) for cell in cells],
    }


def _row(work: Work, cell: Cell, error: LimbeckError | None) -> dict[str, Any]:
    found = {
        "name": cell.name,
        "published": {metric: figure.to_dict() for metric, figure in cell.published.items()},
        "ours": _ours(work, cell),
        "note": cell.note,
    }
    if cell.refused:
        found["refused"] = cell.refused
    return found if error is None else {**found, "error": str(error)}


def _ours(work: Work, cell: Cell) -> dict[str, Any] | None:
    """Mean, std and n over sets x students by metric; None where a set or score is missing. Of a cell without
    students that has figures: what its steps took."""
    from limbeck.evaluation.study import summarise

    if cell.refused:
        return None
    scoring, folders = work.scale.scoring(cell), [work.set_folder(cell, seed) for seed in work.seeds_of(cell)]
    if scoring is None:
        return timing(folders) if cell.published else None
    files = [work.score_file(scoring, folder) for folder in folders]
    if not all(file.exists() for file in files):
        return None
    results = [read_json(file) for file in files]
    ours: dict[str, Any] = {}
    for metric in cell.published or results[0]["mean"]:
        scores = [run["scores"][metric] for result in results for run in result["runs"] if metric in run["scores"]]
        if scores:
            found = summarise(scores)
            ours[metric] = {"mean": found.mean, "std": found.std, "n": found.n}
    return {"sets": len(results), "students": len(results[0]["runs"]), "scores": ours} if ours else None


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """(cell, metric, published, ours, sets x students) of a table, one row a metric."""
    found = []
    for cell in result["cells"]:
        ours = cell["ours"] or {}
        scores = ours.get("scores", {})
        for metric in cell["published"] or scores or [""]:
            figure, score = cell["published"].get(metric), scores.get(metric)
            found.append(
                [
                    cell["name"],
                    metric,
                    str(Published(figure["mean"], figure["std"], figure["missing"] or "")) if figure else "",
                    _spread(score) if score else _unscored(cell),
                    _counted(ours) if score else "",
                ]
            )
    return found


COLUMNS = ("cell", "metric", "published", "ours", "sets x students")


def markdown(result: Mapping[str, Any]) -> str:
    """The table as Markdown, what cannot be compared below it."""
    lines = [f"# {result['name']}: {result['title']}", "", f"On {result['data']}, scale {result['scale']}.", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(row)} |" for row in rows(result)]
    return "\n".join([*lines, "", *(f"- {note}" for note in result["notes"]), ""])


def rows_before(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """The rows that the folder's table already has, by cell."""
    path = folder / f"{name}.json"
    return {str(cell["name"]): cell for cell in read_json(path)["cells"]} if path.exists() else {}


def write_table(folder: Path, result: Mapping[str, Any]) -> None:
    """``<recipe>.json`` and ``<recipe>.md`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{result['name']}.json", result)
    write_bytes(folder / f"{result['name']}.md", markdown(result).encode())


def _unscored(cell: Mapping[str, Any]) -> str:
    return "not offered" if "refused" in cell else "failed" if "error" in cell else "not run"


def _counted(ours: Mapping[str, Any]) -> str:
    return f"{ours['sets']} x {ours['students']}" if ours["students"] else str(ours["sets"])


def _spread(score: Mapping[str, Any]) -> str:
    return f"{score['mean']:.2f}" if score["std"] is None else f"{score['mean']:.2f} ± {score['std']:.2f}"
