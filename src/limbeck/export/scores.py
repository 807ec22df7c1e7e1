"""The scores of a run as rows of a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck.evaluation.scored import read_scores

__all__ = ["notes", "score_rows"]


def score_rows(run: Path | None) -> list[tuple[str, ...]]:
    """Protocol, student, metric, mean, std, n, interval and the whole real set's mean, of every score of a run.

    Raises FormatError where a file in ``results/`` is no result.
    """
    return [row for result in _results(run) for row in _rows(result)]


def notes(run: Path | None) -> list[str]:
    """The sentences without which a reader takes a score for something else, each once."""
    return list(dict.fromkeys(str(note) for result in _results(run) for note in result.get("notes") or ()))


def _results(run: Path | None) -> list[dict[str, Any]]:
    if run is None or not (run / "synthetic").is_dir():
        return []
    return [scored.result for scored in read_scores(run)]


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    protocol = f"{result['protocol']} v{result['version']}, {result.get('split', 'test')} split, "
    protocol += str(result.get("selection", "selection not recorded"))
    protocol += ", as published" if result.get("as_published") else ""
    students, units = [run["student"] for run in result["runs"]], result.get("units") or {}
    several = result.get("by_student") or {str(result["students"][0]): result}
    whole = result.get("whole") or {}
    upper = whole.get("by_student") or ({str(whole["students"][0]): whole} if whole.get("students") else {})
    for student, found in several.items():
        bound = (upper.get(student) or {}).get("mean") or {}
        for metric, mean in (found.get("mean") or {}).items():
            std, interval = ((found.get(k) or {}).get(metric) for k in ("std", "interval"))
            yield (
                protocol,
                str(student),
                f"{metric} ({units.get(metric, '%')})",
                f"{mean:.1f}",
                "-" if std is None else f"{std:.1f}",
                str(students.count(student)),
                f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "-",
                f"{bound[metric]:.1f}" if metric in bound else "-",
            )
