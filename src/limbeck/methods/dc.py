"""DC: match the gradients that real and synthetic items give a network in training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from limbeck.errors import ConfigError
from limbeck.losses import gradients
from limbeck.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.synthetic import Budget

__all__ = ["DC", "Gradients"]

LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
"""(outer, inner) by items per class [code]."""
NETWORKS = 1000
"""Random networks a run begins: the code's iterations."""


class Gradients(Protocol):
    """One class at one step: gradients of the mean cross entropy of its items, by modality and by parameter name."""

    @property
    def real(self) -> Mapping[str, Mapping[str, Tensor]]:
        """(O, \\*rest), without graph."""

    @property
    def synthetic(self) -> Mapping[str, Mapping[str, Tensor]]:
        """The same, with a graph back to the items."""


def published_loop(per_class: int) -> tuple[int, int]:
    """(outer, inner) of the published budget nearest by ratio: 3 is nearer to 1, 4 to 10."""
    return LOOPS[min(LOOPS, key=lambda known: abs(math.log(max(1, per_class) / known)))]


@dataclass(frozen=True)
class DC(Method):
    """Dataset condensation with gradient matching: class by class, the gradient of the cross entropy on synthetic items
    follows that on real ones, row by row of every layer, in networks that are trained on the set as it changes.

    A step is one update of the set. Every ``outer`` steps a new random network is begun; between two steps of its
    round it is trained on the set. From noise, without augmentation; rate 0.1, momentum 0.5, 256 real items a class,
    1000 networks. Each modality has a network of its own, so a run on two is the sum of a run on each.

    Args:
        outer: steps with one network; by default the published number for the budget: 1, 10, 20, 30, 40, 50 at as many
            per class, the nearest of these by ratio between them.
        inner: epochs on the set between two steps; by default 1, 50, 25, 20, 15, 10 at those budgets.
        inner_rate: of plain SGD in these epochs (0.01).
        inner_batch: their batches (256).
    """

    name = "dc"
    title = "Gradient matching"
    paper = "Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021"
    objective = "gradients"
    defaults: ClassVar = {"init": "noise", "factor": 1, "lr": 0.1, "momentum": 0.5, "augment": ""}

    outer: int | None = None
    inner: int | None = None
    inner_rate: float = 0.01
    inner_batch: int = 256

    @classmethod
    def published(cls, budget: Budget) -> Mapping[str, Any]:
        return {"steps": NETWORKS * published_loop(budget.per_class or 1)[0], "real_batch": 256}

    def for_budget(self, budget: Budget) -> Self:
        outer, inner = published_loop(budget.per_class or 1)
        settled = dataclasses.replace(
            self, outer=outer if self.outer is None else self.outer, inner=inner if self.inner is None else self.inner
        )
        for name in ("outer", "inner", "inner_batch"):
            if getattr(settled, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(settled, name)}", where=f"method.{name}", hint="It is 1 or more."
                )
        if not 0 < self.inner_rate < math.inf:
            raise ConfigError(f"inner_rate is {self.inner_rate}", where="method.inner_rate", hint="A rate is above 0.")
        return settled

    def loss(self, group: Gradients) -> dict[str, Tensor]:
        terms = [gradients.layerwise(group.real[m], found) for m, found in group.synthetic.items()]
        return {self.name: sum(terms[1:], terms[0])}
