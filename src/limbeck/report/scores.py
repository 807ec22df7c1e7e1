"""``result.json`` as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Score", "Table", "score_table"]

TITLES = {"image": "Picture", "audio": "Sound", "depth": "Depth", "text": "Text", "feature": "Vector", "fused": "Fused"}
SHORT = {"V": "image", "A": "audio", "AV": "fused"}


@dataclass(frozen=True)
class Score:
    """One metric of one student architecture, in per cent; ``whole`` is the same on the whole training data."""

    student: str
    metric: str
    mean: float
    std: float | None
    n: int | None
    low: float | None
    high: float | None
    whole: float | None
    whole_std: float | None
    whole_n: int | None


@dataclass(frozen=True)
class Table:
    """Scores with what they were scored by. ``headline`` is the fused score, or the last."""

    rows: list[Score]
    chance: float | None
    protocol: str
    selection: str
    headline: Score


def score_table(result: Mapping[str, Any] | None, whole: Mapping[str, Any] | None, classes: int) -> Table | None:
    """Rows for each student and metric that ``result`` has a mean of; None where it has none."""
    if result is None:
        return None
    upper = _flat((whole or {}).get("mean"), _students(whole or {}))
    names = _students(result)
    rows = []
    for (student, metric), mean in _flat(result.get("mean"), names).items():
        low, high = _interval(_find(result.get("interval"), student, metric), mean)
        rows.append(
            Score(
                student=student,
                metric=TITLES.get(SHORT.get(metric, metric), metric),
                mean=mean,
                std=_number(_find(result.get("std"), student, metric)),
                n=_count(result.get("n"), student, metric),
                low=low,
                high=high,
                whole=upper.get((student, metric)),
                whole_std=_number(_find((whole or {}).get("std"), student, metric)),
                whole_n=_count((whole or {}).get("n"), student, metric),
            )
        )
    if not rows:
        return None
    chance = _number(result.get("chance"))
    protocol = f"{result.get('protocol', 'an unnamed protocol')} v{result.get('version', '?')}"
    return Table(
        rows=rows,
        chance=100 / classes if chance is None and classes else chance,
        protocol=protocol,
        selection=str(result.get("selection", "not recorded")),
        headline=next((row for row in rows if row.metric == TITLES["fused"]), rows[-1]),
    )


def _students(result: Mapping[str, Any]) -> list[str]:
    students = result.get("students") or ["student"]
    return [str(s) for s in students] if isinstance(students, list) else ["student"]


def _flat(means: Any, students: list[str]) -> dict[tuple[str, str], float]:
    """{(student, metric): number}, whether the mapping is by metric or by student and then metric."""
    flat: dict[tuple[str, str], float] = {}
    for name, value in means.items() if isinstance(means, Mapping) else ():
        if isinstance(value, Mapping):
            flat |= {(str(name), str(m)): v for m, x in value.items() if (v := _number(x)) is not None}
        elif (number := _number(value)) is not None:
            flat[", ".join(students), str(name)] = number
    return flat


def _find(values: Any, student: str, metric: str) -> Any:
    if not isinstance(values, Mapping):
        return values
    inner = values.get(student)
    return inner.get(metric) if isinstance(inner, Mapping) else values.get(metric, inner)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(values: Any, student: str, metric: str) -> int | None:
    number = _number(_find(values, student, metric))
    return None if number is None else int(number)


def _interval(value: Any, mean: float) -> tuple[float | None, float | None]:
    if isinstance(value, list) and len(value) == 2:
        return _number(value[0]), _number(value[1])
    half = _number(value)
    return (None, None) if half is None else (mean - half, mean + half)
