"""Score against budget: how much a larger set gets, by items and by bytes, below the whole data's line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck.errors import FormatError, LimbeckError
from limbeck.evaluation.compare import compare
from limbeck.evaluation.scored import Scored, meaning, read_scores, settings_id
from limbeck.files import read_json
from limbeck.report.plot import Axis, Curve, Level, Mark, Plot
from limbeck.units import size

__all__ = ["Budgets", "Point", "budget_chart", "budgets_of", "series_of"]

AROUND = 2000
"""Run folders looked into at most."""
SPREAD = 6
"""Pixels between methods of equal budget, so that their intervals can be told apart."""


@dataclass(frozen=True)
class Point:
    """The score of one budget.

    Args:
        items: per class, or pairs; None for a budget that is none of items.
        bytes: as stored; None where it is not known.
        score: the mean. low, high: its 95 % interval, where there is one.
        says: who stands behind it, such as "3 sets x 5 students".
    """

    items: float | None
    bytes: float | None
    score: float
    low: float | None = None
    high: float | None = None
    says: str = ""


@dataclass(frozen=True)
class Budgets:
    """What a run's page shows of its budget among others.

    Args:
        charts: by items, and by bytes where these are known.
        runs: names of the run folders that were taken, this one first. others: whether one has another budget.
    """

    charts: list[Plot]
    runs: list[str]
    others: bool


def budgets_of(folder: Path, *, measure: str = "Score, %") -> Budgets | None:
    """The score of a run among those of runs like it: of the same method, settings, data and protocol, which differ in
    seed and budget alone and lie beside it (``runs/*``) or one folder up (``runs/*/*``).

    Args:
        measure: what the score is, such as "Fused accuracy, %".

    Returns:
        None for a run without a whole score, or with nothing to set it against: no other budget and no whole data.
    """
    try:
        own = read_scores(folder / "result.json")[0]
    except FormatError:
        return None
    if own.budget is None or own.settings is None:
        return None
    alike = [own, *_alike(folder.resolve(), own)]
    found = compare([s.where for s in alike], as_published=bool(own.result.get("as_published")))
    metric, student = found["metrics"][0], found["students"][0]
    whole = next((row["scores"][metric]["mean"] for row in found["whole"] if row["student"] == student), None)
    others = len({s.budget for s in alike}) > 1
    if not others and whole is None:
        return None
    series = {str(own.method): [point for points in series_of(found, metric, student).values() for point in points]}
    unit = {"per class": "items per class"}.get(own.budget[0], own.budget[0])
    charts = [
        budget_chart(series, whole, found["chances"][metric], axis, unit, measure=measure)
        for axis in (("items", "bytes") if others else ("items",))
    ]
    runs = sorted({_name(s.where, folder.resolve().parent) for s in alike[1:]})
    return Budgets([c for c in charts if c is not None], [folder.resolve().name, *runs], others)


def _alike(folder: Path, own: Scored) -> Iterator[Scored]:
    """Scores of runs around one that mean the same, each set once."""
    about = _about(folder)
    known = {(own.budget, own.seed)}
    for run in sorted({*folder.parent.glob("*/run.json"), *folder.parent.parent.glob("*/*/run.json")})[:AROUND]:
        if run.parent == folder or _about(run.parent) != about:
            continue
        try:
            scores = read_scores(run.parent)
        except LimbeckError:
            continue
        for scored in scores:
            same = settings_id(scored) == settings_id(own) and meaning(scored.result) == meaning(own.result)
            if same and scored.budget is not None and (scored.budget, scored.seed) not in known:
                known.add((scored.budget, scored.seed))
                yield scored


def _about(folder: Path) -> tuple[Any, Any]:
    """Method and data of a run, without its score."""
    try:
        about = read_json(folder / "run.json")
        return about.get("method"), about["data"]["hash"]
    except (LimbeckError, OSError, KeyError, TypeError):
        return None, None


def _name(result: Path, beside: Path) -> str:
    """A run as it is found from where this one lies."""
    folder = result.parent.parent if result.parent.name == "results" else result.parent
    return str(folder.relative_to(beside if folder.parent == beside else beside.parent))


def budget_chart(
    series: Mapping[str, Sequence[Point]],
    whole: float | None,
    chance: float | None,
    axis: Literal["items", "bytes"],
    unit: str,
    *,
    measure: str = "Score, %",
) -> Plot | None:
    """A curve for each method over its budgets; None where no point has a place on this axis.

    In a template: ``{% from 'plot.html.j2' import plot %}{{ plot(chart) }}`` draws it with its legend.

    Args:
        series: points by the method's name, in any order; at most 15 names look different.
        whole, chance: levels across the chart; None for none.
        axis: "items" has a tick for each budget, "bytes" for powers of ten; both are logarithmic.
        unit: what the items are, such as "items per class" or "pairs"; of no meaning for bytes.
        measure: what the score is, above the y axis.
    """
    placed = {
        name: sorted(((x, p) for p in points if (x := getattr(p, axis)) is not None and x > 0), key=lambda xp: xp[0])
        for name, points in series.items()
    }
    placed = {name: points for name, points in placed.items() if points}
    if not placed:
        return None
    along = Axis.along_x([x for points in placed.values() for x, _ in points], logarithmic=True)
    ends = [v for points in placed.values() for _, p in points for v in (p.score, p.low, p.high) if v is not None]
    percent = "%" in measure
    up = Axis.along_y(
        [*ends, *(v for v in (whole, chance) if v is not None)],
        least=0 if min(ends) >= 0 or percent else min(ends),
        most=100 if percent else float("inf"),
    )
    curves = []
    for k, (name, points) in enumerate(placed.items()):
        aside = (k - (len(placed) - 1) / 2) * min(SPREAD, 30 / len(placed)) if axis == "items" else 0
        marks = [_mark(name, p, round(along.at(x) + aside, 1), up, axis, unit) for x, p in points]
        curves.append(Curve(name, k, " ".join(f"{m.x},{m.y}" for m in marks), marks))
    told = (("whole data", "whole-line", whole), ("chance", "chance-line", chance))
    levels = [Level(name, kind, up.at(v), f"{v:.3g}") for name, kind, v in told if v is not None]
    return Plot(
        title=f"{measure.removesuffix(', %')} against {'bytes' if axis == 'bytes' else unit}",
        description=_description(placed, levels, axis, unit),
        x_name="bytes of the set as stored" if axis == "bytes" else unit,
        y_name=measure,
        x_ticks=along.ticks(6, _bytes) if axis == "bytes" else _budgets(placed, along),
        y_ticks=up.ticks(5),
        curves=curves,
        levels=levels,
    )


def series_of(comparison: Mapping[str, Any], metric: str, student: str) -> dict[str, list[Point]]:
    """Rows of :func:`limbeck.evaluation.compare.compare` as points, by their labels.

    Args:
        metric: one of the comparison's. student: one of its architectures.
    """
    found: dict[str, list[Point]] = {}
    for row in comparison["rows"]:
        if row["student"] != student:
            continue
        score, budget = row["scores"][metric], row["budget"]
        low, high = score["interval"] or (None, None)
        sets, students = (row["n"][name] for name in ("sets", "students"))
        each = "1 set" if sets == 1 else f"{sets} sets"
        found.setdefault(row["label"], []).append(
            Point(
                items=budget["size"] if budget["kind"] in ("per class", "pairs", "items") else None,
                bytes=row["bytes"],
                score=score["mean"],
                low=low,
                high=high,
                says=f"{each}, {students} student{'' if students == 1 else 's'} in all",
            )
        )
    return found


def _mark(name: str, point: Point, x: float, up: Axis, axis: str, unit: str) -> Mark:
    between = "" if point.low is None or point.high is None else f" ({point.low:.1f} to {point.high:.1f})"
    budget = size(point.bytes) if axis == "bytes" and point.bytes else f"{point.items:g} {unit}"
    low, high = (None if v is None else min(max(up.at(v), up.end), up.start) for v in (point.low, point.high))
    tail = f", {point.says}" if point.says else ""
    return Mark(x, up.at(point.score), f"{name}, {budget}: {point.score:.1f}{between}{tail}", low, high)


def _bytes(count: float) -> str:
    return size(count).replace(".0 ", " ")


def _budgets(placed: Mapping[str, Sequence[tuple[float, Point]]], along: Axis) -> list[tuple[float, str]]:
    """A tick for each budget that there is, as far as their words do not touch."""
    ticks: list[tuple[float, str]] = []
    for value in sorted({x for points in placed.values() for x, _ in points}):
        at, word = along.at(value), f"{value:g}"
        if not ticks or at - ticks[-1][0] > 14 + 6 * (len(word) + len(ticks[-1][1])):
            ticks.append((at, word))
    return ticks


def _description(
    placed: Mapping[str, Sequence[tuple[float, Point]]], levels: Sequence[Level], axis: str, unit: str
) -> str:
    """Every number of the chart in words."""
    told = []
    for name, points in placed.items():
        each = (f"{p.score:.1f} at {size(x) if axis == 'bytes' else f'{x:g} {unit}'}" for x, p in points)
        told.append(f"{name}: {', '.join(each)}.")
    return " ".join([*told, *(f"{level.name}: {level.told}." for level in levels)])
