"""A score and everything that says what it means: what ``result.json`` holds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from limbeck.evaluation.study import Summary, summarise

__all__ = ["Result", "Run", "binomial_error"]


@dataclass(frozen=True)
class Run:
    """One student: its architecture, its seed, and its score by metric, such as "fused" or "image->audio R@1"."""

    student: str
    seed: int
    scores: dict[str, float]


@dataclass(frozen=True)
class Result:
    """Scores of all students of one set.

    Args:
        chances: what guessing gets, by metric; ``chance`` is that of all of them, None where they differ.
        units: "%" or "rank" by metric; of a rank, less is better.
        majority: percent that always saying the split's most frequent class gets; None where that is no answer.
        confusion: [true][predicted] counts of the fused predictions, summed over students; None for many classes.
        settings: what else moves a score's last digits or its meaning.
        items: of a retrieval by pairs, how many there were to find; None of other tasks.
        as_published: students were trained with what the set has learnt beside its items.
        seconds: of everything. training_seconds: of training the students alone, without scoring them; with looks at
            a split that chooses an epoch, and with passing items through encoders that stand still.
        leak: a modality that says the class, see :func:`limbeck.evaluation.leak.leak_of`.
        notes: sentences without which a reader takes the score for something else.
    """

    protocol: str
    version: int
    selection: str
    students: tuple[str, ...]
    seeds: tuple[int, ...]
    split: str
    dataset: str
    data_hash: str
    settings: dict[str, Any]
    runs: tuple[Run, ...]
    chance: float | None
    majority: float | None
    seconds: float
    confusion: list[list[int]] | None = None
    metrics: tuple[str, ...] = field(default=())
    chances: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    items: int | None = None
    as_published: bool = False
    leak: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    training_seconds: float | None = None

    def summary(self, metric: str, runs: Sequence[Run] | None = None) -> Summary:
        """Mean, spread and interval over ``runs``, all of them by default."""
        return summarise([run.scores[metric] for run in (self.runs if runs is None else runs)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: every field, and mean, std, n and interval by metric; no leak and no notes where there are none.

        "binomial", of retrieval by pairs, is what the number of test items leaves open, see :func:`binomial_error`.
        Several architectures are no sample of one thing: their statistics are in ``by_student``, and beside the mean
        over all of them std and interval are None.
        """
        found = {**dataclasses.asdict(self), "n": len(self.runs), **self._statistics(self.runs)}
        for name in ("students", "seeds", "runs", "metrics", "notes"):
            found[name] = list(found[name])
        for name in ("leak", "notes"):
            if not found[name]:
                del found[name]
        if len(self.students) > 1:
            found |= {"std": None, "interval": None}
            found["by_student"] = {
                name: self._statistics([run for run in self.runs if run.student == name]) for name in self.students
            }
        return found

    def _statistics(self, runs: Sequence[Run]) -> dict[str, Any]:
        each = {metric: self.summary(metric, runs) for metric in self.metrics}
        found: dict[str, Any] = {
            "mean": {m: s.mean for m, s in each.items()},
            "std": {m: s.std for m, s in each.items()},
            "interval": {m: None if s.interval is None else list(s.interval) for m, s in each.items()},
        }
        if self.items is not None:
            found["binomial"] = {m: binomial_error(s.mean, self.items) for m, s in each.items()}
        return found


def binomial_error(percent: float, items: int) -> float:
    """The standard error of a share that was counted on so many items, in points.

    Students of several seeds see the same items, so that more of them do not lower it. Captions of one picture hang
    together: ``items`` are pictures both ways. Of a mean of several shares it is the most it can be.
    """
    return math.sqrt(max(0.0, percent * (100 - percent)) / items)
