"""What an encoder is: a pure function of weights and inputs, so that nothing is rebuilt or copied per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.errors import ShapeError

__all__ = ["PUBLISHED_WIDTH", "Encoder", "Weights", "draw_uniform"]

PUBLISHED_WIDTH = 6272
"""D of the papers' encoders; rates of what adds up over D features were chosen for it."""

Weights = dict[str, Tensor]
"""The tensors of one network by name, or of S networks stacked along a new first dimension."""


class Encoder(ABC):
    """A network without weights. Subclasses are frozen dataclasses: equal settings are the equal encoder."""

    @property
    @abstractmethod
    def embedding(self) -> int:
        """D, the width of what :meth:`embed` returns."""

    @property
    def layout(self) -> tuple[int, tuple[int, int]] | None:
        """Channels and grid that an embedding is a flattened map of, channels first; None where it is no map."""
        return None

    @property
    @abstractmethod
    def id(self) -> str:
        """The architecture in words: what a cache of its outputs is keyed by; kernels and precision are not part."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one item."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the weights, by name."""
        return {name: tuple(w.shape) for name, w in self.init(torch.Generator().manual_seed(0)).items()}

    @abstractmethod
    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        """Random weights in PyTorch's default distribution, drawn from a CPU ``generator``, moved to ``device``."""

    @abstractmethod
    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """(N, \\*input_shape) -> (N, D) float32. Raises ShapeError where items have another shape."""

    def embed_training(self, weights: Mapping[str, Tensor], x: Tensor, draw: torch.Generator) -> Tensor:
        """:meth:`embed` as it is while the network is trained: with dropout, drawn from the CPU ``draw``, where the
        architecture has any."""
        del draw
        return self.embed(weights, x)

    def embed_many(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """S networks, each on its own batch: weights stacked along dimension 0, (S, N, ...) -> (S, N, D)."""
        return torch.stack([self.embed({k: w[s] for k, w in weights.items()}, x[s]) for s in range(len(x))])

    def check(self, x: Tensor, leading: int = 1) -> None:
        """Raises ShapeError unless ``x`` is a batch of items; ``leading`` dimensions stand before an item's."""
        if tuple(x.shape[leading:]) != self.input_shape or x.dim() != leading + len(self.input_shape):
            raise ShapeError(
                f"the encoder {self.id} takes items of shape {self.input_shape}, the batch is {tuple(x.shape)}",
                hint="Build the encoder for this data's modalities, or prepare the data at the encoder's size.",
            )


def draw_uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator, device: str | torch.device) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): what PyTorch's kaiming_uniform(a=sqrt(5)) and its default biases come to."""
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator).to(device)
