"""What a run cost, and after how many students it has paid for itself."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from limbeck.report.plot import Axis, Curve, Mark, Plot

__all__ = ["Cost", "at_work", "break_even", "cost_of", "cost_chart", "seconds_in_words"]

FAR = 10_000
"""Students beyond which the chart does not reach."""
UNITS = ((7200.0, 3600.0, "hours"), (300.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""From so many seconds on, what a chart's unit is, and how many seconds it has."""
CACHED = re.compile(r"real statistics: (\d+) steps from the cache")


@dataclass(frozen=True)
class Cost:
    """Seconds, and what they come to.

    Args:
        rows: (what, seconds in words, more about it).
        break_even: the number of students after which distilling has paid for itself; None where it never does, or
            where no student was trained on the whole data.
        verdict: that in a sentence.
        notes: sentences on what the seconds are of.
        plot: total cost over students; None without both kinds of students.
    """

    rows: list[tuple[str, str, str]]
    break_even: int | None
    verdict: str
    notes: list[str]
    plot: Plot | None


def break_even(distilling: float, on_whole: float, on_set: float) -> int | None:
    """The smallest number n >= 1 of students with ``distilling + n * on_set <= n * on_whole`` (seconds); None where a
    student of the set takes as long as one of the whole data, or longer."""
    saved = on_whole - on_set
    if saved <= 0:
        return None
    return max(1, math.ceil(distilling / saved - 1e-9))


def cost_of(
    folder: Path,
    metrics: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any] | None,
    whole: Mapping[str, Any] | None,
) -> Cost | None:
    """The cost of a run as its folder tells it; None where nothing of it was recorded.

    Args:
        folder: whose ``log`` says when it was at work.
        metrics: its steps, with "seconds" where they were recorded.
        result, whole: the scores of its set and of the whole data, with the seconds of their students.
    """
    lines = _log(folder / "log")
    steps, logged = _of_steps(metrics), _at_work(lines)
    known = [seconds for seconds in (steps, logged) if seconds is not None]
    own, all_data = _student(result), _student(whole)
    if not known and own is None:
        return None
    distilling = max(known) if known else None
    rows = []
    if distilling is not None:
        told = "" if steps is None or logged is None else f"{seconds_in_words(min(steps, distilling))} of it steps"
        rows.append(("Making the set", seconds_in_words(distilling), told))
    for name, student in (("One student on this set", own), ("One student on the whole data", all_data)):
        if student is not None:
            told = f"mean of {student.count}" if student.count > 1 else "of one"
            rows.append((name, seconds_in_words(student.seconds), told + (", with scoring" if student.scored else "")))
    if distilling is None or own is None or all_data is None:
        needed = "the students of the whole data have not been timed beside it: limbeck evaluate RUN --whole does it"
        return Cost(rows, None, f"When it pays for itself is not known: {needed}.", _notes(lines, result, whole), None)
    number = break_even(distilling, all_data.seconds, own.seconds)
    return Cost(
        rows,
        number,
        _verdict(number, distilling, all_data.seconds, own.seconds),
        _notes(lines, result, whole),
        cost_chart(distilling, all_data.seconds, own.seconds),
    )


def at_work(folder: Path, metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds that making a run's set took, however often it was killed: of its steps, or between the lines of its log;
    None where neither was recorded."""
    known = [s for s in (_of_steps(metrics), _at_work(_log(folder / "log"))) if s is not None]
    return max(known, default=None)


def cost_chart(distilling: float, on_whole: float, on_set: float) -> Plot:
    """Seconds of all work over the number of students: two lines, and where they cross."""
    number = break_even(distilling, on_whole, on_set)
    last = min(max(5, 2 * (number or 10)), FAR)
    most = max(distilling + last * on_set, last * on_whole)
    unit, name = next((size, name) for least, size, name in UNITS if most >= least)
    along = Axis.along_x([0, last], logarithmic=False)
    up = Axis.along_y([0, max(most / unit, 1e-6)], least=0)

    def line(label: str, at: int, first: float, each: float) -> Curve:
        ends = [(0, first), (last, first + last * each)]
        points = " ".join(f"{along.at(n)},{up.at(seconds / unit)}" for n, seconds in ends)
        start = f"{seconds_in_words(first)}, then " if first else ""
        return Curve(label, at, points, told=f"{start}{seconds_in_words(each)} each")

    curves = [line("distilled, then trained on the set", 0, distilling, on_set),
              line("trained on the whole data", 1, 0.0, on_whole)]  # fmt: skip
    crossing = None
    if number is not None and number <= last:
        says = "1 student" if number == 1 else f"{number:,} students"
        crossing = Mark(along.at(number), up.at(number * on_whole / unit), says)
    ends = " and ".join(f"{c.name}: {c.told}" for c in curves)
    meet = f" The lines cross at {crossing.says}." if crossing else ""
    return Plot(
        title="Total cost against the number of students",
        description=f"{ends}.{meet}",
        x_name="students trained",
        y_name=f"Total {name}",
        x_ticks=[(x, word) for x, word in along.ticks(6, "{:,g}".format) if "." not in word],
        y_ticks=up.ticks(5),
        curves=curves,
        crossing=crossing,
    )


def seconds_in_words(seconds: float) -> str:
    """ "0.41 s", "12.3 s", "4.1 min", "2.5 h"."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@dataclass(frozen=True)
class _Student:
    """Seconds of one student, the mean of ``count``; ``scored`` where scoring it is part of them."""

    seconds: float
    count: int
    scored: bool


def _student(result: Mapping[str, Any] | None) -> _Student | None:
    runs = (result or {}).get("runs")
    count = len(runs) if isinstance(runs, list) else 0
    for name in ("training_seconds", "seconds"):
        total = (result or {}).get(name)
        if count and isinstance(total, int | float) and 0 < total < math.inf:
            return _Student(total / count, count, name == "seconds")
    return None


def _verdict(number: int | None, distilling: float, on_whole: float, on_set: float) -> str:
    if number is None:
        return (
            f"It never pays for itself in time: a student takes {seconds_in_words(on_set)} on this set and "
            f"{seconds_in_words(on_whole)} on the whole data."
        )
    who = "1 student" if number == 1 else f"{number:,} students"
    return (
        f"Distilling has paid for itself after {who}: it took {seconds_in_words(distilling)}, and each student after "
        f"it saves {seconds_in_words(on_whole - on_set)}."
    )


def _notes(lines: Sequence[str], result: Mapping[str, Any] | None, whole: Mapping[str, Any] | None) -> list[str]:
    notes = []
    cached = sum(int(found[1]) for line in lines if (found := CACHED.search(line)))
    held = f"; here real statistics of {cached} steps did" if cached else ""
    notes.append(
        "Seconds of this run, from choosing the first items to the last step, with looks at the validation split. What "
        f"the cache held already, such as a bank, experts or the network of herding, cost nothing here{held}."
    )
    machines = [_machine(found) for found in (result, whole) if found]
    if machines and all(m == machines[0] for m in machines):
        notes.append(f"Students were trained on {machines[0]}.")
    elif machines:
        notes.append(f"Not measured alike: students of the set on {machines[0]}, of the whole data on {machines[1]}.")
    return notes


def _machine(result: Mapping[str, Any]) -> str:
    found = result.get("settings")
    settings: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    threads = settings.get("threads")
    spoken = f", {threads} thread{'' if threads == 1 else 's'}" if settings.get("device") == "cpu" and threads else ""
    return f"{settings.get('device', 'a machine that is not named')}{spoken}, torch {settings.get('torch', '?')}"


def _of_steps(metrics: Sequence[Mapping[str, Any]]) -> float | None:
    told = (m.get("seconds") for m in reversed(metrics))
    return next((float(s) for s in told if isinstance(s, int | float) and 0 <= s < math.inf), None)


def _log(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _at_work(lines: Sequence[str]) -> float | None:
    """Seconds between the lines of a log, but for those before a run was taken up again."""
    total, before, last = 0.0, None, ""
    for line in lines:
        stamp, _, text = line.partition(" ")
        try:
            now = datetime.fromisoformat(stamp).astimezone()
        except (ValueError, OverflowError):
            continue
        back = text.startswith("resumed") and last.startswith("resuming")  # at work since it said so first
        if before is not None and (back or not text.startswith("resum")):
            total += max(0.0, (now - before).total_seconds())
        before, last = now, text
    return None if before is None else total
