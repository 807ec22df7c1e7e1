"""Random: real items drawn without replacement, the floor every method is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limbeck.methods.base import Method

__all__ = ["Random"]


@dataclass(frozen=True)
class Random(Method):
    """Real items drawn without replacement from each class (or from all pairs). Nothing is learnt.

    With ``--bytes`` it takes as many as fit in so many bytes in the form their media ship in: what real data does for
    the weight of a distilled set.
    """

    name = "random"
    title = "Random real items"
    paper = "-"
    kind = "coreset"
    by = ("class", "pairs", "bytes")
    defaults: ClassVar = {"init": "random", "steps": 0, "factor": 1}
