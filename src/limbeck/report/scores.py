"""``result.json`` as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["MEAN", "Confusion", "Score", "Table", "confusion_table", "metric_title", "score_table"]

TITLES = {"image": "Picture", "audio": "Sound", "depth": "Depth", "text": "Text", "feature": "Vector", "fused": "Fused"}
MEAN = "Mean recall"
TITLES["Mean"] = MEAN
LEADING = (TITLES["fused"], MEAN)
ACCURACY = "Accuracy in per cent"
RECALL = "R@K in per cent of queries"

LARGEST = 1e15
"""Of a number worth showing."""


@dataclass(frozen=True)
class Score:
    """One metric of one student architecture, in per cent or another ``unit``, such as "rank", of which less is better;
    ``whole`` is the same on the whole training data, ``chance`` what guessing gets."""

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
    chance: float | None = None
    unit: str = "%"


@dataclass(frozen=True)
class Table:
    """Scores with what they were scored by. ``headline`` is the fused score (where a modality says the class: of
    another), the mean recall, or the first; ``chance`` is that of every row, None where they differ; ``majority`` the
    score of always saying the most frequent class; ``measure`` what the numbers are."""

    rows: list[Score]
    chance: float | None
    majority: float | None
    protocol: str
    selection: str
    headline: Score
    measure: str

    @property
    def lead(self) -> str:
        """What the headline is."""
        return f"{self.headline.metric} accuracy" if self.measure == ACCURACY else self.headline.metric

    @property
    def asked(self) -> bool:
        """Whether the metrics are of queries, and not of what students look at."""
        return self.measure != ACCURACY


@dataclass(frozen=True)
class Confusion:
    """Whom students took for whom: per true class, of 100 of its items the number that was taken for each."""

    classes: Sequence[str]
    rows: list[list[float]]


def confusion_table(result: Mapping[str, Any] | None, classes: Sequence[str]) -> Confusion | None:
    """The confusion matrix in per cent of each true class; None where there is none, or none of these classes."""
    counts = (result or {}).get("confusion")
    size = len(classes)
    if not isinstance(counts, list) or not size or len(counts) != size:
        return None
    rows = []
    for row in counts:
        found = [_number(n) for n in row] if isinstance(row, list) else []
        values = [n for n in found if n is not None and n >= 0]
        if len(values) != size or len(found) != size:
            return None
        rows.append([100 * n / max(sum(values), 1) for n in values])
    return Confusion(classes, rows)


def score_table(result: Mapping[str, Any] | None, whole: Mapping[str, Any] | None, classes: int) -> Table | None:
    """Rows of each student architecture and each metric ``result`` has a mean of; None where it has none.

    Args:
        result: what ``result.json`` holds; see :meth:`limbeck.evaluation.result.Result.to_dict`.
        whole: the same of students trained on the whole data; each student is compared with its like.
        classes: for chance, where the result does not record it.
    """
    if result is None:
        return None
    upper = _by_student(whole or {})
    chance = _number(result.get("chance"))
    chances, units = (found if isinstance(found := result.get(k), Mapping) else {} for k in ("chances", "units"))
    if chance is None and classes and not chances:
        chance = 100 / classes
    rows = []
    for student, (found, n) in _by_student(result).items():
        bound, bound_n = upper.get(student, ({}, None))
        rows += [
            _score(student, metric, found, n, bound, bound_n, _number(chances.get(metric, chance)), units.get(metric))
            for metric in _metrics(found)
        ]
    if not rows:
        return None
    leak = result.get("leak")
    leading = (metric_title(str(leak.get("headline"))),) if isinstance(leak, Mapping) else LEADING
    ranks, recall = any(row.unit != "%" for row in rows), any("@" in row.metric for row in rows)
    return Table(
        rows=rows,
        chance=chance,
        majority=_number(result.get("majority")),
        protocol=f"{result.get('protocol', 'an unnamed protocol')} v{result.get('version', '?')}",
        selection=str(result.get("selection", "not recorded")),
        headline=next((row for row in rows if row.metric in leading), rows[0]),
        measure=f"{RECALL}, MedR a rank of which less is better" if ranks else RECALL if recall else ACCURACY,
    )


def _by_student(result: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, Any], int | None]]:
    """Architecture -> (mean, std and interval by metric, number of students)."""
    several = result.get("by_student")
    if not isinstance(several, Mapping):
        several = {", ".join(map(str, result.get("students") or ["student"])): result} if result.get("mean") else {}
    runs = [run.get("student") for run in result.get("runs") or []]
    return {str(s): (found, runs.count(s) or _count(result.get("n"))) for s, found in several.items()}


def metric_title(metric: str) -> str:
    """ "fused" -> "Fused", "audio->image R@1" -> "Sound → Picture R@1"."""
    direction, _, measure = metric.rpartition(" ")
    query, arrow, gallery = direction.partition("->")
    if not arrow:
        return TITLES.get(metric, metric)
    return f"{TITLES.get(query, query)} → {TITLES.get(gallery, gallery)} {measure}"


def _metrics(found: Mapping[str, Any]) -> list[str]:
    """Each modality with a mean, then what they come to together."""
    return sorted(
        (m for m in found.get("mean") or () if _number(_at(found, "mean", m)) is not None), key="fused".__eq__
    )


def _score(
    student: str,
    metric: str,
    found: Mapping[str, Any],
    n: int | None,
    whole: Mapping[str, Any],
    whole_n: int | None,
    chance: float | None,
    unit: Any,
) -> Score:
    interval = _at(found, "interval", metric)
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    return Score(
        student=student,
        metric=metric_title(metric),
        mean=float(_at(found, "mean", metric)),
        std=_number(_at(found, "std", metric)),
        n=n,
        low=_number(low),
        high=_number(high),
        whole=_number(_at(whole, "mean", metric)),
        whole_std=_number(_at(whole, "std", metric)),
        whole_n=whole_n,
        chance=chance,
        unit="%" if unit is None else str(unit),
    )


def _at(found: Mapping[str, Any], statistic: str, metric: str) -> Any:
    return (found.get(statistic) or {}).get(metric)


def _number(value: Any) -> float | None:
    """``value`` where it is a number one can show: NaN, infinity and True are none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < LARGEST:
        return None
    return float(value)


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
