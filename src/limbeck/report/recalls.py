"""Scores of retrieval as the papers print them: a line for each way to ask, a column for each K."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.report.scores import MEAN, Score, Table

__all__ = ["Grid", "Line", "recall_grid"]

WAYS = {"IR": "Picture for a caption (IR)", "TR": "Caption for a picture (TR)"}


@dataclass(frozen=True)
class Line:
    """One student, one way to ask: scores by K, None where there is none."""

    student: str
    way: str
    scores: Sequence[Score | None]


@dataclass(frozen=True)
class Grid:
    """``cuts``: the Ks. ``means``: over all ways and Ks, by student."""

    cuts: Sequence[int]
    lines: Sequence[Line]
    means: dict[str, Score]

    @property
    def whole(self) -> bool:
        """Whether whole data's scores are known."""
        return any(score is not None and score.whole is not None for line in self.lines for score in line.scores)


def recall_grid(table: Table | None) -> Grid | None:
    """The scores of ``table`` where all of them are R@K, of several K, and their mean; else None."""
    found: dict[tuple[str, str], dict[int, Score]] = {}
    means = {}
    for score in () if table is None else table.rows:
        parsed = re.fullmatch(r"(.+?)(?: R)?@(\d+)", score.metric)
        if score.metric == MEAN:
            means[score.student] = score
        elif parsed is None:
            return None
        else:
            found.setdefault((score.student, parsed[1]), {})[int(parsed[2])] = score
    cuts = sorted({k for scores in found.values() for k in scores})
    if len(cuts) < 2:
        return None
    lines = [Line(s, WAYS.get(way, way), [scores.get(k) for k in cuts]) for (s, way), scores in found.items()]
    return Grid(cuts, lines, means)
