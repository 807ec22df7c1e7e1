"""A decoupler's map: from an encoder's output to the common representation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.encoders.base import Weights, draw_uniform
from limbeck.errors import ConfigError, ShapeError, nearest

__all__ = ["Kind", "Projection"]

Kind = Literal["mlp", "linear"]


@dataclass(frozen=True)
class Projection:
    """(N, ``width``) -> (N, ``width``): D -> ``hidden`` -> D with a ReLU between, or one linear layer.

    The paper says "two-layer MLPs" in the text and "lightweight linear maps" beside its equation 6; a full-width map of
    either kind is 40 to 80 million numbers, so the MLP has a bottleneck [choice, docs/audio_visual.md].
    """

    width: int
    kind: Kind = "mlp"
    hidden: int = 512

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"unknown kind {self.kind!r}", where="kind", hint=nearest(self.kind, get_args(Kind)))
        if self.width < 1 or self.hidden < 1:
            raise ConfigError(
                f"a projection of {self.width} features through {self.hidden}", hint="Both are 1 or more."
            )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the weights, by name."""
        d, h = self.width, self.hidden
        if self.kind == "linear":
            return {"weight": (d, d), "bias": (d,)}
        return {"first.weight": (h, d), "first.bias": (h,), "second.weight": (d, h), "second.bias": (d,)}

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        """PyTorch's default draws."""
        fan = {"first": self.width, "second": self.hidden}
        return {
            name: draw_uniform(shape, fan.get(name.partition(".")[0], self.width), generator, device)
            for name, shape in self.shapes.items()
        }

    def __call__(self, weights: Mapping[str, Tensor], z: Tensor) -> Tensor:
        r"""(N, D) -> (N, D), differentiable in both; or T maps at once, weights stacked: (T, N, D) -> (T, N, D).

        Raises ShapeError where z has another width.
        """
        if z.shape[-1] != self.width:
            raise ShapeError(f"the projection takes {self.width} features, there are {z.shape[-1]}")
        if self.kind == "linear":
            return affine(weights, "", z)
        return affine(weights, "second.", affine(weights, "first.", z).relu())


def affine(weights: Mapping[str, Tensor], name: str, z: Tensor) -> Tensor:
    r"""One linear layer, or T stacked ones: (T, N, D) -> (T, N, E)."""
    return z @ weights[f"{name}weight"].mT + weights[f"{name}bias"].unsqueeze(-2)
