"""How the values of a set are stepped: SGD with momentum, or Adam, each modality at its own rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.errors import ResumeError

if TYPE_CHECKING:
    from limbeck.engine.settings import RunSettings

__all__ = ["Optimiser"]

SECOND = "optimiser."
"""What the names of Adam's second moments begin with in a checkpoint."""


class Optimiser:
    """Steps ``values`` in place.

    Args:
        values: leaves by modality.
        rates: by modality; of a modality with rate 0 nothing changes.
    """

    def __init__(self, values: Mapping[str, Tensor], rates: Mapping[str, float], settings: RunSettings) -> None:
        self.values, self.rates, self.momentum = dict(values), dict(rates), settings.momentum
        self.adam = settings.optimiser == "adam"
        groups = [{"params": [value], "lr": rates[name]} for name, value in values.items()]
        self._torch: torch.optim.Optimizer
        if self.adam:
            self._torch = torch.optim.Adam(groups, lr=settings.lr)
        else:
            self._torch = torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)

    def proposed(self) -> dict[str, Tensor]:
        """What a step would make of the values; of Adam, whose steps are as long as the rate, their gradients and
        squares, which are what can leave the finite numbers."""
        with torch.no_grad():
            if self.adam:
                return {name: v.grad.square() for name, v in self.values.items() if v.grad is not None}
            momenta = self.momenta()
            return {
                name: v - self.rates[name] * (self.momentum * momenta[name] + v.grad)
                for name, v in self.values.items()
                if v.grad is not None
            }

    def step(self) -> None:
        """Takes it."""
        self._torch.step()

    def momenta(self) -> dict[str, Tensor]:
        """Per modality the first moment; zeros before the first step."""
        return self._moment("exp_avg" if self.adam else "momentum_buffer")

    def state(self) -> dict[str, Tensor]:
        """Of Adam the second moments, for a checkpoint."""
        return {SECOND + name: x for name, x in self._moment("exp_avg_sq").items()} if self.adam else {}

    def restore(self, step: int, momenta: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Goes on after ``step`` steps; what of ``state`` is not its own is given back.

        Raises ResumeError where Adam's second moments are not there.
        """
        for name, value in self.values.items() if step else ():
            first = momenta[name].to(value.device)
            if not self.adam:
                self._torch.state[value]["momentum_buffer"] = first
                continue
            second = state.get(SECOND + name)
            if second is None or second.shape != value.shape:
                raise ResumeError(f"the checkpoint lacks Adam's moments of {name}", hint="Start a new run.")
            self._torch.state[value] |= {
                "step": torch.tensor(float(step)), "exp_avg": first, "exp_avg_sq": second.to(value.device),
            }  # fmt: skip
        return {name: x for name, x in state.items() if not name.startswith(SECOND)}

    def _moment(self, which: str) -> dict[str, Tensor]:
        return {name: self._torch.state[v].get(which, torch.zeros_like(v)) for name, v in self.values.items()}
