"""Forgetting: real items, or pairs, that networks in training unlearn most often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from limbeck.methods.base import Method

__all__ = ["Forgetting"]


@dataclass(frozen=True)
class Forgetting(Method):
    """Real items by how often a network in training goes from right to wrong on them, counted each time an item is
    presented, within each class. With a budget in pairs, of two modalities: real pairs, right where each of the two is
    nearest to the other in its batch, through two towers (docs/image_text.md).

    Ten epochs of one network, whose initial weights and order hang on the run's seed (docs/audio_visual.md). Hard items
    come first, which suits budgets that are a good part of the data; at a few items a class, ``order=least`` may do
    better, and it is what the image-text papers take.

    Args:
        order: "most" forgotten first, as published; or "least".
        never_learnt: an item that was never right counts as forgotten more often than any other ("most", as
            published), or not at all ("zero").
    """

    name = "forgetting"
    title = "Forgetting"
    paper = "Toneva et al., An Empirical Study of Example Forgetting during Deep Neural Network Learning, ICLR 2019"
    kind = "coreset"
    by = ("class", "pairs")
    defaults: ClassVar = {"init": "forgetting", "steps": 0, "factor": 1}

    order: Literal["most", "least"] = "most"
    never_learnt: Literal["most", "zero"] = "most"

    @property
    def selection_options(self) -> Mapping[str, Any]:
        return {"order": self.order, "never_learnt": self.never_learnt}
