"""An encoder with one linear map on top: the way into a space that several encoders share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.linear import Linear

__all__ = ["Projected", "joined"]

BODY, MAP = "body.", "map."
"""What the names of the two parts' weights begin with."""


@dataclass(frozen=True)
class Projected(Encoder):
    """(N, \\*shape) -> (N, ``width``): W f(x) + b, where f is ``body``; its length is what it is."""

    body: Encoder
    width: int

    @cached_property
    def map(self) -> Linear:
        """W and b."""
        return Linear(self.body.embedding, self.width)

    @property
    def embedding(self) -> int:
        return self.width

    @property
    def id(self) -> str:
        return f"{self.body.id}>{self.map.id}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.body.input_shape

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        parts = ((BODY, self.body.shapes), (MAP, self.map.shapes))
        return {f"{part}{name}": shape for part, shapes in parts for name, shape in shapes.items()}

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        return joined(self.body.init(generator, device), self.map.init(generator, device))

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return self.map.embed(_part(weights, MAP), self.body.embed(_part(weights, BODY), x))


def joined(body: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> Weights:
    """The weights of a :class:`Projected` from those of its parts."""
    return {f"{BODY}{k}": w for k, w in body.items()} | {f"{MAP}{k}": w for k, w in linear.items()}


def _part(weights: Mapping[str, Tensor], prefix: str) -> Weights:
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
