"""The scores of a study's finished cells, in tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import ConfigError
from limbeck.files import write_bytes, write_json
from limbeck.studies.cells import finished, read_state
from limbeck.studies.scoring import Scoring
from limbeck.studies.spec import Cell, Study

__all__ = ["write_comparison"]

FILES = {"txt": "table", "md": "markdown", "tex": "latex", "csv": "csv"}
"""Endings of the files of tables, and their form."""


def write_comparison(folder: Path, study: Study, data: Mapping[str, Any]) -> dict[str, Any]:
    """``comparison.json`` and the tables beside it; one table for each way of scoring under which a cell is finished.

    Returns:
        What ``comparison.json`` holds.

    Raises ConfigError, once all that can be is written, where scores do not mean the same.
    """
    from limbeck.evaluation.comparison import as_text

    done = [cell for cell in study.cells() if finished(folder, study, cell)]
    comparisons: list[dict[str, Any]] = []
    mixed: list[ConfigError] = []
    for scoring in study.evaluate if done else ():
        try:
            comparisons.append(_compared(folder, study, scoring, done))
        except ConfigError as error:
            mixed.append(error)
    found = {
        "study": {
            "name": study.name,
            "data": {"name": data["name"], "hash": data["hash"]},
            "methods": [method.label for method in study.methods],
            "budgets": [{"kind": study.budget.replace("_", " "), "size": size} for size in study.sizes],
            "seeds": list(study.seeds),
            "storage": list(study.storage),
            "hash": study.hash,
            "baseline": study.baseline,
        },
        "cells": [_cell(folder, cell) for cell in study.cells()],
        "comparisons": comparisons,
    }
    for ending, form in FILES.items():
        text = "\n".join(as_text(table, form) for table in comparisons)
        write_bytes(folder / f"comparison.{ending}", text.encode())
    write_json(folder / "comparison.json", found)
    if mixed:
        raise mixed[0]
    return found


def _cell(folder: Path, cell: Cell) -> dict[str, Any]:
    state = read_state(folder, cell.name)
    return {
        "name": cell.name,
        "method": cell.method.label,
        "budget": cell.told["budget"],
        "seed": cell.seed,
        "storage": cell.storage,
        "state": state["state"],
        "error": state["error"],
        "run": f"runs/{cell.name}",
        "seconds": {name: state["seconds"].get(name) for name in ("distil", "evaluate")},
    }


def _compared(folder: Path, study: Study, scoring: Scoring, done: list[Cell]) -> dict[str, Any]:
    from limbeck.evaluation.compare import compare

    def score_of(cell: Cell) -> Path:
        return folder / "runs" / cell.name / "results" / str(read_state(folder, cell.name)["results"][scoring.id])

    labels = {score_of(cell): cell.method.label for cell in done}
    there = study.baseline in labels.values()
    published = bool(scoring.as_published)
    found = compare(list(labels), baseline=study.baseline if there else None, labels=labels, as_published=published)
    if study.baseline is not None and not there:
        found["notes"].append(f"No cell of {study.baseline} is done, so there are no differences from it.")
    for row in found["rows"]:
        for each in row["sets"]:  # the folder may be moved
            each["path"] = str(Path(each["path"]).relative_to(folder))
    return found
