"""The weights of a network as one vector: what trajectories are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from limbeck.encoders.base import Weights
from limbeck.errors import ShapeError

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Which part of a vector is which weight.

    Args:
        shapes: by name, in the vector's order.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> Self:
        """The layout of a network."""
        return cls({name: tuple(w.shape) for name, w in weights.items()})

    @property
    def size(self) -> int:
        """P, numbers in all."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def flatten(self, weights: Mapping[str, Tensor]) -> Tensor:
        """(P,), a copy. Raises ShapeError where the weights are another network's."""
        if {name: tuple(w.shape) for name, w in weights.items()} != dict(self.shapes):
            raise ShapeError(f"the weights are not those of the layout ({', '.join(self.shapes)})")
        return torch.cat([weights[name].reshape(-1) for name in self.shapes])

    def weights(self, vector: Tensor) -> Weights:
        """(P,) -> the weights, as views: differentiable, nothing is copied. Raises ShapeError unless it is (P,)."""
        if tuple(vector.shape) != (self.size,):
            raise ShapeError(f"a vector of {tuple(vector.shape)} for a network of {self.size} weights")
        parts = vector.split([math.prod(shape) for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
