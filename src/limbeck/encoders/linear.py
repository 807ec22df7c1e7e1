"""Vectors to vectors: the encoder of text embeddings and other features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Encoder, Weights, draw_uniform
from limbeck.errors import ConfigError

__all__ = ["Linear"]


@dataclass(frozen=True)
class Linear(Encoder):
    """One linear layer from (N, ``features``) to (N, ``width``) [choice, docs/audio_visual.md]."""

    features: int
    width: int

    def __post_init__(self) -> None:
        if self.features < 1 or self.width < 1:
            raise ConfigError(f"a linear encoder from {self.features} to {self.width} features")

    @property
    def embedding(self) -> int:
        return self.width

    @property
    def id(self) -> str:
        return f"linear-{self.features}-{self.width}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        return {
            "weight": draw_uniform((self.width, self.features), self.features, generator, device),
            "bias": draw_uniform((self.width,), self.features, generator, device),
        }

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        return F.linear(x, weights["weight"], weights["bias"])

    def embed_many(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x, leading=2)
        return torch.baddbmm(weights["bias"].unsqueeze(1), x, weights["weight"].transpose(1, 2))
