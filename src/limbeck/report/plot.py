"""Plots with marks, intervals and levels as numbers for ``templates/plot.html.j2``, which draws them as bare SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["Axis", "Curve", "Level", "Mark", "Plot"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 340, 66, 18, 44, 58
COLOURS = 5
"""Colours of curves, ``c1`` to ``c5``; ``c0`` is the ink. More curves are told apart by their dashes."""
DASHES = ("", "8 4", "2 4")


@dataclass(frozen=True)
class Axis:
    """Places along one side of a plot: ``(value) -> pixel``.

    Args:
        low, high: values at ``start`` and ``end`` (pixels; y axes run downwards). logarithmic: both are above 0.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, v = (math.log(x) for x in (self.low, self.high, value)) if self.logarithmic else self._plain(value)
        return round(self.start + (v - low) / (high - low) * (self.end - self.start), 1)

    def _plain(self, value: float) -> tuple[float, float, float]:
        return self.low, self.high, value

    @classmethod
    def along_x(cls, values: Sequence[float], *, logarithmic: bool) -> Axis:
        """One that leaves air on both sides of ``values``."""
        low, high = min(values), max(values)
        if logarithmic:
            air = (high / low) ** 0.07 if high > low else 2.0
            return cls(low / air, high * air, LEFT, WIDTH - RIGHT, True)
        return cls(low, high if high > low else low + 1, LEFT, WIDTH - RIGHT)

    @classmethod
    def along_y(cls, values: Sequence[float], *, least: float = -math.inf, most: float = math.inf) -> Axis:
        """One from a little below the lowest to a little above the highest, never beyond ``least`` and ``most``."""
        air = 0.08 * (max(values) - min(values)) or 1.0
        return cls(max(least, min(values) - air), min(most, max(values) + air), HEIGHT - BOTTOM, TOP)

    def ticks(self, wanted: int, word: Callable[[float], str] = "{:g}".format) -> list[tuple[float, str]]:
        """(pixel, word) of round numbers: 1, 2 or 5 times a power of ten, decades where they are enough."""
        return [(self.at(v), word(v)) for v in self._round(wanted)]

    def _round(self, wanted: int) -> list[float]:
        if not self.logarithmic:
            rough = (self.high - self.low) / wanted
            power = 10.0 ** math.floor(math.log10(rough))
            step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [round(step * i, 12) for i in range(first, last + 1)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
            found = [m * 10.0**k for k in decades for m in steps if self.low <= m * 10.0**k <= self.high]
            if len(found) >= 3:
                return found[:: math.ceil(len(found) / wanted)]
        return found


@dataclass(frozen=True)
class Mark:
    """A dot at (x, y) with the ends of its interval, and what it says to whoever points at it."""

    x: float
    y: float
    says: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """A line through ``points`` ("x,y x,y"), with ``marks`` on it, as the ``number``-th of its plot.

    ``told`` stands behind its name in the legend.
    """

    name: str
    number: int
    points: str
    marks: list[Mark] = field(default_factory=list)
    told: str = ""

    @property
    def colour(self) -> str:
        """A class of the page's style."""
        return f"c{1 + self.number % COLOURS}"

    @property
    def dash(self) -> str:
        """An SVG dash pattern; empty for an unbroken line."""
        return DASHES[self.number // COLOURS % len(DASHES)]


@dataclass(frozen=True)
class Level:
    """A line across the plot: ``kind`` is a class of the page's style, "whole-line" or "chance-line"."""

    name: str
    kind: str
    y: float
    told: str


@dataclass(frozen=True)
class Plot:
    """Everything drawn. ``title`` and ``description`` are what people hear who cannot see it."""

    title: str
    description: str
    x_name: str
    y_name: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    curves: list[Curve]
    levels: list[Level] = field(default_factory=list)
    crossing: Mark | None = None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    base: int = HEIGHT - BOTTOM
