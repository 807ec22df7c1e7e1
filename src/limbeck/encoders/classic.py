"""LeNet, AlexNet, VGG11 and ResNet18 for items of any size (docs/audio_visual.md, students of other architectures).

The trunks are those of the distillation literature, written for 28 and 32 pixels. Where they flatten a map of that
size, an adaptive average pool brings any other map to the same grid [choice], and changes nothing at the size they were
written for. Convolution biases before an instance norm are left out: the norm removes them exactly.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Encoder, Weights, draw_uniform
from limbeck.encoders.convnet import Precision
from limbeck.encoders.linear import Linear
from limbeck.errors import ConfigError, nearest
from limbeck.modalities import Modality

__all__ = ["VGG11", "AlexNet", "Classic", "LeNet", "ResNet18", "classic_encoders"]

Layer = tuple[str, tuple[int, ...], Literal["bias", "norm"]]
"""Name, shape of the weight (out, in, ...), and what follows: a bias, or an instance norm."""


@dataclass(frozen=True)
class Classic(Encoder):
    """(N, ``in_channels``, ``height``, ``width``) -> (N, D), D and all widths as published.

    Args:
        precision: "bf16" runs the convolutions in bfloat16, as the ConvNet does. There are no fused kernels.
    """

    in_channels: int
    height: int
    width: int
    precision: Precision = "fp32"

    name: ClassVar[str]
    features: ClassVar[int]
    """D, what the published classifier looks at."""

    def __post_init__(self) -> None:
        known = get_args(Precision)
        if self.precision not in known:
            raise ConfigError(
                f"unknown precision {self.precision!r}", where="precision", hint=nearest(str(self.precision), known)
            )
        if min(self.height, self.width) < self.smallest_side:
            raise ConfigError(
                f"{self.name} takes items of {self.smallest_side} x {self.smallest_side} and larger, "
                f"these are {self.height} x {self.width}",
                hint="Prepare larger items, or choose another student.",
            )

    @property
    @abstractmethod
    def smallest_side(self) -> int:
        """Below it a map vanishes, or is one position, which an instance norm turns into a constant."""

    @property
    @abstractmethod
    def layers(self) -> Iterator[Layer]:
        """Everything that has weights, from the input on."""

    @property
    def grey(self) -> bool:
        """One channel: the published nets pad their first convolution more, from 28 to 32 pixels."""
        return self.in_channels == 1

    @property
    def embedding(self) -> int:
        return self.features

    @property
    def id(self) -> str:
        return f"{self.name}-{self.in_channels}x{self.height}x{self.width}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.height, self.width)

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        weights: Weights = {}
        for name, shape, then in self.layers:
            fan = math.prod(shape[1:])
            weights[f"{name}.weight"] = draw_uniform(shape, fan, generator, device)
            if then == "bias":
                weights[f"{name}.bias"] = draw_uniform(shape[:1], fan, generator, device)
            else:
                weights[f"{name}.scale"] = torch.ones(shape[0], device=device)
                weights[f"{name}.shift"] = torch.zeros(shape[0], device=device)
        return weights

    def convolve(
        self, weights: Mapping[str, Tensor], name: str, x: Tensor, *, padding: int = 0, stride: int = 1
    ) -> Tensor:
        """The layer called ``name``, with its bias or its norm."""
        dtype = torch.bfloat16 if self.precision == "bf16" else x.dtype
        bias = weights.get(f"{name}.bias")
        y = F.conv2d(
            x.to(dtype),
            weights[f"{name}.weight"].to(dtype),
            None if bias is None else bias.to(dtype),
            stride=stride,
            padding=padding,
        ).to(x.dtype)
        if bias is not None:
            return y
        return F.group_norm(y, y.shape[1], weights[f"{name}.scale"], weights[f"{name}.shift"])


@dataclass(frozen=True)
class LeNet(Classic):
    """Two 5x5 convolutions and two hidden layers, no norm; D = 84."""

    name = "lenet"
    features = 84
    grid: ClassVar[int] = 5

    @property
    def smallest_side(self) -> int:
        return 12 if self.grey else 16

    @property
    def layers(self) -> Iterator[Layer]:
        yield "0", (6, self.in_channels, 5, 5), "bias"
        yield "1", (16, 6, 5, 5), "bias"
        yield "2", (120, 16 * self.grid**2), "bias"
        yield "3", (84, 120), "bias"

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        x = F.max_pool2d(F.relu(self.convolve(weights, "0", x, padding=2 if self.grey else 0)), 2)
        x = F.max_pool2d(F.relu(self.convolve(weights, "1", x)), 2)
        x = F.adaptive_avg_pool2d(x, self.grid).flatten(1)
        for name in "23":
            x = F.relu(F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"]))
        return x


@dataclass(frozen=True)
class AlexNet(Classic):
    """Five convolutions, no norm; D = 192 x 4 x 4."""

    name = "alexnet"
    grid: ClassVar[int] = 4
    features = 192 * 4 * 4
    plan: ClassVar = ((128, 5), (192, 5), (256, 3), (192, 3), (192, 3))
    """Width and kernel; the first, second and last are followed by a pool."""

    @property
    def layout(self) -> tuple[int, tuple[int, int]]:
        return 192, (self.grid, self.grid)

    @property
    def smallest_side(self) -> int:
        return 4 if self.grey else 8

    @property
    def layers(self) -> Iterator[Layer]:
        before = self.in_channels
        for i, (width, kernel) in enumerate(self.plan):
            yield str(i), (width, before, kernel, kernel), "bias"
            before = width

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        for i, (_, kernel) in enumerate(self.plan):
            padding = 4 if i == 0 and self.grey else kernel // 2
            x = F.relu(self.convolve(weights, str(i), x, padding=padding))
            if i in (0, 1, 4):
                x = F.max_pool2d(x, 2)
        return F.adaptive_avg_pool2d(x, self.grid).flatten(1)


@dataclass(frozen=True)
class VGG11(Classic):
    """Eight 3x3 convolutions, each with an instance norm, and five pools; D = 512.

    At 32 pixels the last norms see 2 x 2 positions. Where a pool would leave them fewer than that, as it does with
    smaller items, it is left out [choice]: a norm over one position is a constant.
    """

    name = "vgg11"
    features = 512
    plan: ClassVar = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
    """Widths; 0 is a pool."""

    @property
    def smallest_side(self) -> int:
        return 2

    @property
    def layers(self) -> Iterator[Layer]:
        before = self.in_channels
        for i, width in enumerate(w for w in self.plan if w):
            yield str(i), (width, before, 3, 3), "norm"
            before = width

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        done = 0
        for i, width in enumerate(self.plan):
            if width:
                padding = 3 if done == 0 and self.grey else 1
                x = F.relu(self.convolve(weights, str(done), x, padding=padding))
                done += 1
            elif i == len(self.plan) - 1 or min(x.shape[2:]) >= 4:
                x = F.max_pool2d(x, 2)
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


@dataclass(frozen=True)
class ResNet18(Classic):
    """A 3x3 stem without pool and eight residual blocks, instance norm throughout; D = 512."""

    name = "resnet18"
    features = 512
    stages: ClassVar = ((64, 1), (128, 2), (256, 2), (512, 2))
    """Width, and stride of the first of two blocks."""

    @property
    def smallest_side(self) -> int:
        return 9  # 9, 5, 3, 2: the last norms see 2 x 2

    @property
    def blocks(self) -> Iterator[tuple[str, int, int, int]]:
        """Name, width before, width, stride of each block."""
        before = 64
        for stage, (width, stride) in enumerate(self.stages):
            yield f"{stage}.0", before, width, stride
            yield f"{stage}.1", width, width, 1
            before = width

    @property
    def layers(self) -> Iterator[Layer]:
        yield "stem", (64, self.in_channels, 3, 3), "norm"
        for name, before, width, _ in self.blocks:
            yield f"{name}.0", (width, before, 3, 3), "norm"
            yield f"{name}.1", (width, width, 3, 3), "norm"
            if before != width:
                yield f"{name}.skip", (width, before, 1, 1), "norm"

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        x = F.relu(self.convolve(weights, "stem", x, padding=1))
        for name, before, width, stride in self.blocks:
            y = F.relu(self.convolve(weights, f"{name}.0", x, padding=1, stride=stride))
            y = self.convolve(weights, f"{name}.1", y, padding=1)
            skip = x if before == width else self.convolve(weights, f"{name}.skip", x, stride=stride)
            x = F.relu(y + skip)
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


def classic_encoders(
    net: type[Classic], modalities: Mapping[str, Modality], *, precision: Precision = "fp32"
) -> dict[str, Encoder]:
    """One such net for each picture or spectrogram; vectors get one linear layer to the same width D.

    Raises ConfigError where there is no modality or items are too small.
    """
    if not modalities:
        raise ConfigError("there is no modality to build an encoder for")
    encoders: dict[str, Encoder] = {}
    for name, modality in modalities.items():
        if modality.spatial:
            channels, height, width = modality.shape
            encoders[name] = net(channels, height, width, precision)
        else:
            encoders[name] = Linear(math.prod(modality.shape), net.features)
    return encoders
