"""K-center: real items from which no item of the class is far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limbeck.methods.base import Method

__all__ = ["KCenter"]


@dataclass(frozen=True)
class KCenter(Method):
    """Real items picked greedily so that no item is far from its nearest pick: first the one nearest to the class mean,
    then always the one farthest from all picks, on the features that herding looks at.

    It covers a class's outliers before its middle, which suits large budgets better than small ones.

    With a budget in pairs, of two modalities: real pairs, the first drawn, on the sum of both halves as two towers see
    them after a short warm-up on the real pairs (docs/image_text.md).
    """

    name = "kcenter"
    title = "K-center"
    paper = "Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018"
    kind = "coreset"
    by = ("class", "pairs")
    defaults: ClassVar = {"init": "kcenter", "steps": 0, "factor": 1}
