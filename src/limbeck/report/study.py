"""The page of a study: methods side by side, by score, by bytes, by cost and to the eye."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from limbeck.errors import FormatError
from limbeck.evaluation.comparison import footnotes, title
from limbeck.report.page import TEMPLATES, render_page
from limbeck.report.study_gallery import side_by_side
from limbeck.report.study_read import Study, StudyCell, read_study
from limbeck.report.study_table import Panel, panels_of
from limbeck.units import duration

__all__ = ["write_study_report"]


def write_study_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page that compares the methods of a study. It may be unfinished: what failed or waits is named.

    Args:
        folder: what ``limbeck study --out`` made.
        out: the HTML file; by default ``report.html`` in the folder.

    Returns:
        The file, replaced in one step.

    Raises:
        ConfigError: if ``out`` cannot be written.
        FormatError: if the folder is no study, or its ``comparison.json`` is damaged.
    """
    study = read_study(folder)
    path = folder / "report.html" if out is None else out
    render_page(TEMPLATES / "study.html.j2", path, **_content(study, path))
    return path


@dataclass(frozen=True)
class Cost:
    """Mean seconds of a method's runs, in words: by budget to distil, to score one; and of all together."""

    label: str
    runs: int
    distil: list[str]
    evaluate: str
    together: str


def _content(study: Study, path: Path) -> dict[str, Any]:
    about = study.about
    tables = _tables(study)
    panels = [panel for *_, found in tables for panel in found]
    data, name = about.get("data"), str(about["name"])
    budgets = list(dict.fromkeys(cell.budget for cell in sorted(study.cells, key=lambda cell: cell.amount)))
    folder = study.folder.resolve().name
    done = study.state("done")
    return {
        "name": name,
        "data": str(data.get("name", "data") if isinstance(data, Mapping) else data or "data"),
        "sub": [
            _counted(len(about["methods"]), "method"),
            _counted(len(budgets), "budget"),
            _counted(len(about["seeds"]), "seed"),
            f"study {str(about.get('hash', ''))[:12]}",
        ],
        "facts": _facts(study, panels),
        "several": len(panels) > 1,
        "tables": tables,
        "panels": panels,
        "sides": side_by_side(study),
        "cells": [(cell, _link(study, cell, path)) for cell in study.cells],
        "failed": study.state("failed"),
        "waiting": study.state("waiting"),
        "budgets": budgets,
        "costs": _costs(study, budgets),
        "source": study.source,
        "shell_name": shlex.quote(folder),
        "example": f"{folder}/{_best(done, panels).run}" if done else "",
    }


def _tables(study: Study) -> list[tuple[str, list[str], list[Panel]]]:
    """Of each comparison with a row: what its scores have in common, its notes, its panels."""
    try:
        told = [(title(one), footnotes(one), panels_of(one)) for one in study.comparisons]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FormatError(f"no comparison of scores ({error!r})", where=study.folder / "comparison.json") from error
    return [(words, notes, panels) for words, notes, panels in told if panels]


def _facts(study: Study, panels: Sequence[Panel]) -> list[tuple[str, str, str]]:
    """(value, unit, what it is) of the tiles under the title; the first is the best score where there is one."""
    facts = []
    if panels:
        best, whole, unit = panels[0].best, panels[0].whole, panels[0].unit
        upper = "" if whole is None else f"; the whole data gives {whole.mean:.1f}"
        word = "highest" if unit == "%" else "lowest"
        heading = panels[0].heading[0].lower() + panels[0].heading[1:]
        facts.append((f"{best.mean:.1f}", unit, f"{word} mean {heading}, of {best.label} at {best.budget}{upper}"))
    done, every = len(study.state("done")), len(study.cells)
    facts.append((f"{done:,}", "runs" if done == every else f"of {every:,} runs", "distilled and scored"))
    told = [s for cell in study.cells for s in (cell.distil, cell.evaluate) if s is not None]
    if told:
        count, unit = duration(sum(told)).split()
        facts.append((count, unit, "of work, all runs together"))
    return facts


def _best(done: Sequence[StudyCell], panels: Sequence[Panel]) -> StudyCell:
    """A run of the row that the first tile names; the first run where none has its name."""
    row = panels[0].best if panels else None
    return next((cell for cell in done if row and (cell.label, cell.budget) == (row.label, row.budget)), done[0])


def _costs(study: Study, budgets: Sequence[str]) -> list[Cost]:
    found = []
    for label in study.labels:
        cells = [cell for cell in study.state("done") if cell.label == label]
        told = [s for cell in cells for s in (cell.distil, cell.evaluate) if s is not None]
        if told:
            distil = [_mean([cell.distil for cell in cells if cell.budget == budget]) for budget in budgets]
            evaluate = _mean([cell.evaluate for cell in cells])
            found.append(Cost(label, len(cells), distil, evaluate, duration(sum(told))))
    return found


def _mean(seconds: Sequence[float | None]) -> str:
    known = [s for s in seconds if s is not None]
    return duration(sum(known) / len(known)) if known else "–"


def _link(study: Study, cell: StudyCell, path: Path) -> str:
    """The address of a run's own page from the study's; empty where it has none."""
    page = study.folder / cell.run / "report.html"
    return quote(os.path.relpath(page, path.parent).replace(os.sep, "/")) if page.exists() else ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
