"""Step sizes of inner steps, learnt with the set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import ResumeError

__all__ = ["StepSizes"]

FURTHEST = math.log(2)
"""A step size is at most doubled or halved in one step."""


class StepSizes:
    """One a modality, learnt by SGD with momentum, as published, but kept positive: alpha becomes
    alpha exp(-rate m / alpha), m the buffer, at most doubled or halved. To first order this is alpha - rate m, the
    published step; where that step would be of alpha's own size, it cannot cross zero (as the published one does,
    after which the student climbs). SGD on log alpha would not do: it is a step of another length, by alpha squared.

    Args:
        first: what they begin with.
        rate: of SGD; 0 keeps them as they are.
    """

    def __init__(
        self, first: Mapping[str, float], *, rate: float, momentum: float, device: str | torch.device = "cpu"
    ) -> None:
        self.rate, self.momentum, self.device = rate, momentum, torch.device(device)
        self.sizes = {n: torch.tensor(a, dtype=torch.float64, device=device) for n, a in first.items()}
        self.slopes: dict[str, Tensor] = {}
        """Of the loss by step size, from the parts of this step."""
        self._momenta = {name: torch.zeros_like(size) for name, size in self.sizes.items()}

    def propose(self) -> dict[str, Tensor]:
        """See :meth:`limbeck.engine.objectives.base.Objective.propose`; so of the next four."""
        proposed = {}
        for name, size in self.sizes.items():
            buffer = self.momentum * self._momenta[name] + self.slopes[name]
            proposed[f"momentum of {name}"] = buffer
            proposed[f"step size of {name}"] = size * (-self.rate * buffer / size).clamp(-FURTHEST, FURTHEST).exp()
        return proposed

    def accept(self, proposed: Mapping[str, Tensor]) -> None:
        for name in self.sizes:
            self._momenta[name] = proposed[f"momentum of {name}"]
            self.sizes[name] = proposed[f"step size of {name}"]

    def state(self) -> dict[str, Tensor]:
        kept = {f"step size of {name}": size for name, size in self.sizes.items()}
        return kept | {f"momentum of {name}": buffer for name, buffer in self._momenta.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if set(state) != set(self.state()) or any(x.shape for x in state.values()):
            raise ResumeError("the checkpoint does not hold the step sizes of this run", hint="Start a new run.")
        self.accept({name: x.to(self.device, torch.float64) for name, x in state.items()})

    def learnt(self) -> dict[str, Any]:
        return {"step_sizes": {name: float(size) for name, size in self.sizes.items()}}
