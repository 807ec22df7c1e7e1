"""The field's ConvNet: 3x3 convolution, instance norm, ReLU, 2x2 average pool (docs/audio_visual.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Encoder, Weights, draw_uniform
from limbeck.errors import ConfigError, nearest

__all__ = ["ConvNet", "Kernels", "Precision", "literal_block"]

Kernels = Literal["literal", "fused"]
Precision = Literal["fp32", "bf16"]
Block = Callable[[Tensor, Tensor, Tensor, "tuple[int, int] | None"], Tensor]


@dataclass(frozen=True)
class ConvNet(Encoder):
    """(N, ``in_channels``, ``height``, ``width``) -> (N, ``channels`` x grid).

    The published networks have convolution biases; the instance norm that follows removes them exactly, so they are
    not here.

    Args:
        blocks: 5 for a 224 x 224 picture, 3 for a spectrogram.
        channels: 128 in the papers.
        first_padding: of the first convolution: 3 for spectrograms, else 1.
        grid: where given, the last pool is adaptive and ends at this size; else it is 2 x 2 like the others.
        kernels: "literal" is plain torch and differentiable twice; "fused" is faster and differentiable once.
        precision: "bf16" runs the convolutions in bfloat16; weights, pixels, statistics and embeddings stay float32.
    """

    in_channels: int
    height: int
    width: int
    blocks: int
    channels: int = 128
    first_padding: int = 1
    grid: tuple[int, int] | None = None
    kernels: Kernels = "literal"
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        for name, known in (("kernels", get_args(Kernels)), ("precision", get_args(Precision))):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"unknown {name} {value!r}", where=name, hint=nearest(str(value), known))
        if self.blocks < 1 or self.channels < 1 or min(self.grid or (1, 1)) < 1:
            raise ConfigError(f"a ConvNet of {self.blocks} blocks, {self.channels} channels and grid {self.grid}")
        pooled = self.maps[:-1] if self.grid else self.maps
        if any(min(size) < 2 for size in pooled) or self.maps[-1] == (1, 1):
            raise ConfigError(
                f"{self.blocks} blocks are too many for {self.height} x {self.width}: a map shrinks to nothing",
                hint="Use fewer blocks or larger items.",
            )

    @property
    def maps(self) -> list[tuple[int, int]]:
        """Height and width after each convolution, before its pool."""
        h, w = (side + 2 * self.first_padding - 2 for side in (self.height, self.width))
        sizes = [(h, w)]
        for _ in range(self.blocks - 1):
            h, w = h // 2, w // 2
            sizes.append((h, w))
        return sizes

    @property
    def output_grid(self) -> tuple[int, int]:
        """Height and width of the last map, the embedding's positions."""
        h, w = self.maps[-1]
        return self.grid or (h // 2, w // 2)

    @property
    def embedding(self) -> int:
        return self.channels * math.prod(self.output_grid)

    @property
    def layout(self) -> tuple[int, tuple[int, int]]:
        return self.channels, self.output_grid

    @property
    def id(self) -> str:
        h, w = self.output_grid
        shape = f"{self.in_channels}x{self.height}x{self.width}"
        pool = "adaptive" if self.grid else "plain"
        return f"convnet-{shape}-b{self.blocks}-c{self.channels}-p{self.first_padding}-{pool}{h}x{w}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.height, self.width)

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        weights: Weights = {}
        for i in range(self.blocks):
            fan = self.in_channels if i == 0 else self.channels
            weights[f"{i}.conv"] = draw_uniform((self.channels, fan, 3, 3), 9 * fan, generator, device)
            weights[f"{i}.scale"] = torch.ones(self.channels, device=device)
            weights[f"{i}.shift"] = torch.zeros(self.channels, device=device)
        return weights

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        return self._run(weights, x, networks=1).flatten(1).float()

    def embed_many(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """As the base class says, in one pass: the networks are groups of channels of one grouped convolution."""
        self.check(x, leading=2)
        networks, items = x.shape[:2]
        merged = {name: weight.flatten(0, 1) for name, weight in weights.items()}
        y = self._run(merged, x.transpose(0, 1).flatten(1, 2), networks)
        return y.reshape(items, networks, -1).transpose(0, 1).float()

    def _run(self, weights: Mapping[str, Tensor], x: Tensor, networks: int) -> Tensor:
        block, layout = self._kernels()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        for i in range(self.blocks):
            # only the convolution is in low precision: x and the weights keep theirs
            x = F.conv2d(
                layout(x.to(dtype)),
                layout(weights[f"{i}.conv"].to(dtype)),
                padding=self.first_padding if i == 0 else 1,
                groups=networks,
            )
            last = i == self.blocks - 1
            x = block(x, weights[f"{i}.scale"], weights[f"{i}.shift"], self.grid if last else None)
        return x

    def _kernels(self) -> tuple[Block, Callable[[Tensor], Tensor]]:
        if self.kernels == "literal":
            return literal_block, Tensor.contiguous
        from limbeck.encoders.fused import (  # looks for a compiler: only where it is asked for
            channels_last,
            fused_block,
        )

        return fused_block, channels_last


def literal_block(x: Tensor, scale: Tensor, shift: Tensor, grid: tuple[int, int] | None) -> Tensor:
    """Per-channel norm, ReLU and pool of (N, C, H, W) as the papers write them."""
    x = F.relu(F.group_norm(x.float(), x.shape[1], scale, shift))
    return F.avg_pool2d(x, 2) if grid is None else F.adaptive_avg_pool2d(x, grid)
