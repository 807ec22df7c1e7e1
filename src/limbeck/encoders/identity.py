"""Vectors as they are: what an encoder is to items that it has no part of its own for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.encoders.base import Encoder, Weights
from limbeck.errors import ConfigError

__all__ = ["Identity"]


@dataclass(frozen=True)
class Identity(Encoder):
    """(N, ``features``) -> the same. It has no weights."""

    features: int

    def __post_init__(self) -> None:
        if self.features < 1:
            raise ConfigError(f"vectors of {self.features} numbers")

    @property
    def embedding(self) -> int:
        return self.features

    @property
    def id(self) -> str:
        return f"identity-{self.features}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:  # noqa: ARG002
        return {}

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:  # noqa: ARG002
        self.check(x)
        return x
