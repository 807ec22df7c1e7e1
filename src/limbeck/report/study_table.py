"""A study's comparison as tables: rows by budget, whole data and chance, and what is told beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from limbeck.report.budget import budget_chart, series_of
from limbeck.report.plot import Plot
from limbeck.report.scores import metric_title
from limbeck.report.study_read import budget_words
from limbeck.units import duration, size

__all__ = ["Difference", "Panel", "Row", "panels_of"]


@dataclass(frozen=True)
class Difference:
    """From the baseline, paired by seed. ``verdict`` is empty where the interval holds zero, or where there is none."""

    mean: float
    low: float | None
    high: float | None
    sets: int
    verdict: Literal["better", "worse", ""]


@dataclass(frozen=True)
class Row:
    """A method at a budget. ``n`` is "3 × 5", sets and students of each; size and seconds to distil in words."""

    label: str
    budget: str
    n: str
    sets: int
    mean: float
    std: float | None
    low: float | None
    high: float | None
    difference: Difference | None
    bytes: float | None
    size: str
    seconds: str
    leads: bool = False


@dataclass(frozen=True)
class Panel:
    """One metric of one student architecture.

    Args:
        heading: what it is of, such as "Fused accuracy". unit: "%", or another of which less is better.
        groups: rows by the study's budget; the best mean of each leads.
        frontier: rows than which none scores more in as few bytes, smallest first.
        by_items, by_bytes: charts.
    """

    heading: str
    student: str
    unit: str
    baseline: str | None
    groups: list[tuple[str, list[Row]]]
    whole: Row | None
    chance: float | None
    frontier: list[Row]
    by_items: Plot | None
    by_bytes: Plot | None

    @property
    def best(self) -> Row:
        """Of all budgets."""
        every = [row for _, rows in self.groups for row in rows]
        return max(every, key=lambda row: row.mean if self.unit == "%" else -row.mean)


def panels_of(comparison: Mapping[str, Any]) -> list[Panel]:
    """A panel for each student architecture and metric that has a row.

    Args:
        comparison: as :func:`limbeck.evaluation.compare.compare` gives it.
    """
    pairs = [(student, metric) for student in comparison["students"] for metric in comparison["metrics"]]
    found = (_panel(comparison, student, metric) for student, metric in pairs)
    return [panel for panel in found if panel is not None]


def _panel(comparison: Mapping[str, Any], student: str, metric: str) -> Panel | None:
    rows = [row for row in comparison["rows"] if row["student"] == student]
    if not rows:
        return None
    unit, chance = comparison["units"].get(metric, "%"), comparison["chances"].get(metric)
    up = 1 if unit == "%" else -1
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.get("among") or budget_words(row["budget"]), []).append(_row(row, metric, up))
    groups = {budget: _leading(found, up) for budget, found in groups.items()}
    whole = next((_row(row, metric, up) for row in comparison["whole"] if row["student"] == student), None)
    name = metric_title(metric)
    heading = f"{name} accuracy" if unit == "%" and "@" not in metric and metric != "Mean" else name
    levels = (None if whole is None else whole.mean, chance)
    series, kind = series_of(comparison, metric, student), str(rows[0]["budget"]["kind"])
    measure = f"{heading}, %" if unit == "%" else f"{heading}, {unit}"
    items = kind if kind == "pairs" else f"items {kind}" if kind == "per class" else "items"
    return Panel(
        heading=heading,
        student=student,
        unit=unit,
        baseline=comparison["baseline"],
        groups=list(groups.items()),
        whole=whole,
        chance=chance,
        frontier=_frontier([row for found in groups.values() for row in found], up),
        by_items=budget_chart(series, *levels, "items", items, measure=measure),
        by_bytes=budget_chart(series, *levels, "bytes", items, measure=measure),
    )


def _row(row: Mapping[str, Any], metric: str, up: int) -> Row:
    score = row["scores"][metric]
    low, high = score["interval"] or (None, None)
    return Row(
        label=row["label"],
        budget=budget_words(row["budget"]),
        n=_counted(row),
        sets=len(row["sets"]),
        mean=score["mean"],
        std=score["std"],
        low=low,
        high=high,
        difference=_difference(score.get("difference"), up),
        bytes=row["bytes"],
        size="" if row["bytes"] is None else size(row["bytes"]),
        seconds="" if row["seconds"] is None else duration(row["seconds"]),
    )


def _counted(row: Mapping[str, Any]) -> str:
    each = sorted({one["students"] for one in row["sets"]})
    if not each:
        return f"– × {row['n']['students']}"
    return f"{len(row['sets'])} × {each[0]}" + (f"–{each[-1]}" if len(each) > 1 else "")


def _difference(paired: Mapping[str, Any] | None, up: int) -> Difference | None:
    if paired is None:
        return None
    low, high = paired["interval"] or (None, None)
    clear = low is not None and high is not None and (low > 0 or high < 0)
    verdict: Literal["better", "worse", ""] = "" if not clear else "better" if paired["mean"] * up > 0 else "worse"
    return Difference(paired["mean"], low, high, paired["sets"], verdict)


def _leading(rows: Sequence[Row], up: int) -> list[Row]:
    best = max(up * row.mean for row in rows)
    return [Row(**{**vars(row), "leads": len(rows) > 1 and up * row.mean == best}) for row in rows]


def _frontier(rows: Sequence[Row], up: int) -> list[Row]:
    """Rows than which no smaller or equal one scores more."""
    found: list[Row] = []
    sized = sorted((row.bytes, -up * row.mean, k) for k, row in enumerate(rows) if row.bytes is not None)
    for _, lost, k in sized:
        if not found or -lost > up * found[-1].mean:
            found.append(rows[k])
    return found
