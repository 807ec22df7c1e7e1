"""Line charts as bare SVG: they take their colours from the page, so that they are right in the dark too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Chart", "Line", "line_chart", "loss_chart", "score_chart"]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 280, 64, 34, 14, 14
POINTS = 300
"""At most so many points a line; longer runs are averaged over bins."""
LARGEST = 1e38
"""Beyond it a loss in fp32 has overflowed."""


@dataclass(frozen=True)
class Line:
    """One curve: its name, a colour number for the page's palette, SVG points, first and last value."""

    name: str
    colour: int
    points: str
    first: str
    last: str


@dataclass(frozen=True)
class Chart:
    """A chart ready for the template: tick positions with their words, and lines; where the one step is that is marked
    (None: none)."""

    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    logarithmic: bool
    steps: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    base: int = HEIGHT - BOTTOM
    rule: float | None = None


def loss_chart(metrics: Sequence[Mapping[str, Any]], looks: Sequence[tuple[float, float]] = ()) -> Chart | None:
    """Loss and its terms over steps; None without a step. Values that are no numbers leave a gap.

    Args:
        looks: what :func:`score_chart` shows over the same steps.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for step in metrics:
        values = {"loss": step["loss"], **step["terms"]} if len(step["terms"]) > 1 else {"loss": step["loss"]}
        for name, value in values.items():
            if isinstance(value, int | float) and abs(value) < LARGEST:
                series.setdefault(name, []).append((float(step["step"]), float(value)))
    return line_chart(series, steps=len(metrics), ends=_ends(metrics, looks))


def score_chart(
    looks: Sequence[tuple[float, float]], metrics: Sequence[Mapping[str, Any]], kept: object
) -> Chart | None:
    """Scores at (step, score) looks above the losses of the same run, step under step; None with fewer than two.

    Args:
        metrics: one mapping a step, for the first and the last of them.
        kept: the step whose set was kept, where it is one.
    """
    if len(looks) < 2:
        return None
    mark = float(kept) if isinstance(kept, int) and not isinstance(kept, bool) else None
    return line_chart({"validation": looks}, steps=len(looks), ends=_ends(metrics, looks), mark=mark)


def _ends(metrics: Sequence[Mapping[str, Any]], looks: Sequence[tuple[float, float]]) -> list[float]:
    """First and last of the steps that were taken or looked at."""
    steps = [float(step["step"]) for step in metrics] + [step for step, _ in looks]
    return [min(steps), max(steps)] if steps else []


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    steps: int = 0,
    ends: Sequence[float] = (),
    mark: float | None = None,
) -> Chart | None:
    """Lines of (step, value) points; None without a point. The scale is logarithmic where values differ widely.

    Args:
        steps: what the chart says it is over.
        ends: steps that are on it in any case. mark: a step that is marked, if it is on it.
    """
    series = {name: _thinned(points) for name, points in series.items() if points}
    everything = [value for points in series.values() for _, value in points]
    if not everything:
        return None
    logarithmic = min(everything) > 1e-300 and max(everything) > 20 * min(everything)  # 10 ** -324 is 0
    scale = math.log10 if logarithmic else float
    low, high = scale(min(everything)), scale(max(everything))
    if not logarithmic and low > 0 and low < 0.5 * high:
        low = 0.0
    margin = 0.04 * (high - low) or max(abs(high), 1.0) * 0.1
    low, high = low - (margin if low else 0), high + margin
    places: list[float] = [*ends, *(step for points in series.values() for step, _ in points)]
    start, end = min(places), max(max(places), min(places) + 1)

    def x(step: float) -> float:
        return LEFT + (step - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - scale(value)) / (high - low) * (HEIGHT - BOTTOM - TOP)

    lines = [
        Line(
            name, k, " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in points), _short(points[0][1]), _short(points[-1][1])
        )
        for k, (name, points) in enumerate(series.items())
    ]
    levels = _decades(low, high) if logarithmic else _round_numbers(low, high, 5)
    return Chart(
        lines=lines,
        x_ticks=[(x(s), f"{s:g}") for s in _round_numbers(start, end, 6) if s == int(s)],
        y_ticks=[(y(v), _short(v)) for v in levels],
        logarithmic=logarithmic,
        steps=steps,
        rule=x(mark) if mark is not None and start <= mark <= end else None,
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    size = math.ceil(len(points) / POINTS)
    bins = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(s for s, _ in b) / len(b), sum(v for _, v in b) / len(b)) for b in bins]


def _round_numbers(low: float, high: float, wanted: int) -> list[float]:
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    whole = [10.0**k for k in range(math.ceil(low), math.floor(high) + 1)]
    if len(whole) >= 2:
        return whole[:: math.ceil(len(whole) / 6)]
    fine = [m * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    return [value for value in fine if low <= math.log10(value) <= high]


def _short(value: float) -> str:
    """Three digits, in words a reader of a chart knows."""
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{round(value):,}" if abs(value) >= 1000 else f"{value:.3g}"
