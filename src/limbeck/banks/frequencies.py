"""Frequencies that are learnt: the sampling network of NCFM, which raises the discrepancy that the set lowers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Weights, draw_uniform
from limbeck.errors import ConfigError, ShapeError

__all__ = ["SamplingNetwork"]

LAYERS = 3
SLOPE = 0.2


@dataclass(frozen=True)
class SamplingNetwork:
    """Noise (F, D) through three times [linear D to D, norm over the batch, leaky ReLU 0.2; tanh after the last], a
    pure function of its weights; entries in (-1, 1). NCFM climbs on them by SGD at 1e-3; its own configurations and
    ImageBindDC leave it off.

    NCFM's code makes 4 rows with its default settings and repeats them 16 times; repeated rows do not change a mean
    over frequencies, so that is ``count=4``. All rows are different here.

    A pass costs 3 F D^2 multiplications, 3 D / N times what projecting N rows on its frequencies does.

    Args:
        width: D. count: F, 2 or more, as the norm takes its statistics over them.
    """

    width: int
    count: int = 4096

    def __post_init__(self) -> None:
        if self.width < 1 or self.count < 2:
            raise ConfigError(
                f"{self.count} learnt frequencies of width {self.width}",
                hint="There are 2 or more, of width 1 or more.",
            )

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        """PyTorch's default distribution, from a CPU ``generator``."""
        weights: Weights = {}
        for i in range(LAYERS):
            for name, shape in (("linear.weight", (self.width, self.width)), ("linear.bias", (self.width,))):
                weights[f"{i}.{name}"] = draw_uniform(shape, self.width, generator, device)
            weights[f"{i}.norm.weight"] = torch.ones(self.width, device=device)
            weights[f"{i}.norm.bias"] = torch.zeros(self.width, device=device)
        return weights

    def frequencies(self, weights: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """(F, D), differentiable in the weights; the noise N(0, 1) is drawn from a CPU ``generator``.

        Raises:
            ShapeError: weights of another width.
        """
        first = weights["0.linear.weight"]
        if first.shape != (self.width, self.width):
            raise ShapeError(f"weights {tuple(first.shape)} of a sampling network of width {self.width}")
        x = torch.randn(self.count, self.width, generator=generator).to(first)
        for i in range(LAYERS):
            x = F.linear(x, weights[f"{i}.linear.weight"], weights[f"{i}.linear.bias"])
            x = F.batch_norm(x, None, None, weights[f"{i}.norm.weight"], weights[f"{i}.norm.bias"], training=True)
            x = x.tanh() if i == LAYERS - 1 else F.leaky_relu(x, SLOPE)
        return x
