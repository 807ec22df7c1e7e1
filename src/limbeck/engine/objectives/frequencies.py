"""The frequencies of a step: drawn each time, drawn once, or made by a network that learns where to look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.banks.frequencies import SamplingNetwork
from limbeck.errors import ResumeError
from limbeck.losses.characteristic import draw_frequencies
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.encoders.base import Weights
    from limbeck.engine.ranks import Ranks
    from limbeck.methods.base import Spectrum

__all__ = ["ASCENT", "Frequencies"]

ASCENT = 1e-3
"""Rate of the gradient ascent of the sampling network (spec of NCFM's script: SGD, lr 1e-3)."""
PREFIX = "frequencies."
"""What its weights are called in a checkpoint."""


class Frequencies:
    """(F, D) for every width D that a loss asks for; all groups of classes of a step look at the same ones [choice].

    Args:
        spectrum: how many, and where they come from.
        seed: of the run.
    """

    def __init__(self, spectrum: Spectrum, seed: int, device: torch.device) -> None:
        self.spectrum, self.seed, self.device = spectrum, seed, device
        self._step = 0
        self._now: dict[int, Tensor] = {}
        self._weights: dict[int, Weights] = {}
        self._restored: dict[int, Weights] = {}

    def begin(self, step: int) -> None:
        """Forgets what belongs to another step."""
        self._step = step
        if self.spectrum.sampling != "fixed":
            self._now = {}

    def at(self, width: int) -> Tensor:
        """(F, ``width``); a leaf that collects its gradient where a network makes them."""
        if width not in self._now:
            self._now[width] = self._made(width)
        return self._now[width]

    def sum_over(self, ranks: Ranks) -> None:
        """Adds up what the groups of all ranks say of this step's frequencies."""
        if self.spectrum.sampling != "network":
            return
        leaves = [self.at(width) for width in ranks.tell(lambda: list(self._now))]
        for leaf in leaves:  # of a rank without a group there is none yet
            leaf.grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        ranks.sum_(leaf.grad for leaf in leaves if leaf.grad is not None)

    def proposed(self) -> dict[str, Tensor]:
        """The network's weights after a step uphill; after all groups have been looked at."""
        found = {}
        for width, leaf in self._now.items() if self.spectrum.sampling == "network" else ():
            weights = {name: w.detach().requires_grad_() for name, w in self._weights[width].items()}
            slopes = torch.autograd.grad(self._network(width, weights), list(weights.values()), leaf.grad)
            for (name, w), slope in zip(weights.items(), slopes, strict=True):
                found[f"{PREFIX}{width}.{name}"] = w.detach() + ASCENT * slope
        return found

    def accept(self, proposed: Mapping[str, Tensor]) -> None:
        """Takes what :meth:`proposed` gave; what is still to come of the step looks at the new network's."""
        for width in self._weights:
            self._weights[width] |= _of(width, proposed)
        if proposed:
            self._now = {}

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {f"{PREFIX}{width}.{n}": w for width, own in self._weights.items() for n, w in own.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what :meth:`state` gave. Raises ResumeError where it is another's."""
        if any(not name.startswith(PREFIX) for name in state) or (state and self.spectrum.sampling != "network"):
            raise ResumeError(f"the checkpoint holds {', '.join(state)}, which is not kept here")
        for width in {int(name.removeprefix(PREFIX).partition(".")[0]) for name in state}:
            self._weights[width] = {name: w.to(self.device) for name, w in _of(width, state).items()}

    def _made(self, width: int) -> Tensor:
        spectrum = self.spectrum
        if spectrum.sampling == "network":
            if width not in self._weights:
                network = SamplingNetwork(width, spectrum.count)
                self._weights[width] = network.init(stream(self.seed, "frequencies", "network", width), self.device)
            return self._network(width, self._weights[width]).detach().requires_grad_()
        name = ("frequencies", width) if spectrum.sampling == "fixed" else ("step", self._step, "frequencies", width)
        drawn = draw_frequencies(spectrum.count, width, stream(self.seed, *name), scale=spectrum.scale)
        return drawn.to(self.device)

    def _network(self, width: int, weights: Weights) -> Tensor:
        network = SamplingNetwork(width, self.spectrum.count)
        draw = stream(self.seed, "step", self._step, "frequencies", width)
        return self.spectrum.scale * network.frequencies(weights, draw)


def _of(width: int, named: Mapping[str, Tensor]) -> Weights:
    start = f"{PREFIX}{width}."
    return {name.removeprefix(start): x for name, x in named.items() if name.startswith(start)}
