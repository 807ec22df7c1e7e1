r"""The head that image-text distillation trains on frozen vectors.

.. math:: a = W_1 x + b_1, \quad y = a + \mathrm{dropout}(W_2 \, \mathrm{gelu}(a) + b_2), \quad
    \mathrm{out} = \mathrm{LayerNorm}(y)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Encoder, Weights, draw_uniform
from limbeck.errors import ConfigError

__all__ = ["ProjectionHead"]


@dataclass(frozen=True)
class ProjectionHead(Encoder):
    """(N, ``features``) -> (N, ``width``), differentiable twice [code of MTT-VL, LoRS, MDM: their "text projection"].

    Args:
        dropout: of :meth:`embed_training` only.
    """

    features: int
    width: int
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.features < 1 or self.width < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(f"a head from {self.features} to {self.width} numbers with dropout {self.dropout}")

    @property
    def embedding(self) -> int:
        return self.width

    @property
    def id(self) -> str:
        return f"head-{self.features}-{self.width}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        weights: Weights = {}
        for name, fan in (("1", self.features), ("2", self.width)):
            weights[f"{name}.weight"] = draw_uniform((self.width, fan), fan, generator, device)
            weights[f"{name}.bias"] = draw_uniform((self.width,), fan, generator, device)
        weights["norm.scale"] = torch.ones(self.width, device=device)
        weights["norm.shift"] = torch.zeros(self.width, device=device)
        return weights

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        return self._run(weights, x, None)

    def embed_training(self, weights: Mapping[str, Tensor], x: Tensor, draw: torch.Generator) -> Tensor:
        self.check(x)
        kept = torch.rand(len(x), self.width, generator=draw) >= self.dropout
        return self._run(weights, x, kept.to(x) / (1 - self.dropout))

    def _run(self, weights: Mapping[str, Tensor], x: Tensor, mask: Tensor | None) -> Tensor:
        a = F.linear(x, weights["1.weight"], weights["1.bias"])
        more = F.linear(F.gelu(a), weights["2.weight"], weights["2.bias"])
        y = a + (more if mask is None else more * mask)
        return F.layer_norm(y, (self.width,), weights["norm.scale"], weights["norm.shift"])
