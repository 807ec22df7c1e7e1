"""LeNet, AlexNet, VGG11 and ResNet18 as plain modules, convolution biases before norms included where they have them.

Literal: each layer is written out. ``pairs`` matches a module's tensors with the names of limbeck.encoders.classic.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LiteralLeNet(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2 if channels == 1 else 0), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.AdaptiveAvgPool2d((5, 5)), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.trunk(x)


class LiteralAlexNet(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, 128, 5, padding=4 if channels == 1 else 2), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Conv2d(128, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Conv2d(192, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 192, 3, padding=1), nn.ReLU(),
            nn.Conv2d(192, 192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.AdaptiveAvgPool2d((4, 4)), nn.Flatten(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.trunk(x)


class LiteralVGG11(nn.Module):
    """``pools``: which of the five pools are there; all of them from 32 pixels on."""

    def __init__(self, channels: int, pools: tuple[int, ...] = (0, 1, 2, 3, 4)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for i, group in enumerate([[64], [128], [256, 256], [512, 512], [512, 512]]):
            for width in group:
                first = before == channels
                layers += [nn.Conv2d(before, width, 3, padding=3 if first and channels == 1 else 1)]
                layers += [nn.GroupNorm(width, width), nn.ReLU()]
                before = width
            if i in pools:
                layers.append(nn.MaxPool2d(2, 2))
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.trunk(x)


class LiteralBlock(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(width, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(width, width)
        self.skip = nn.Sequential()
        if stride != 1 or before != width:
            self.skip = nn.Sequential(
                nn.Conv2d(before, width, 1, stride=stride, bias=False), nn.GroupNorm(width, width)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


class LiteralResNet18(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(64, 64)
        self.blocks = nn.Sequential(
            LiteralBlock(64, 64, 1), LiteralBlock(64, 64, 1),
            LiteralBlock(64, 128, 2), LiteralBlock(128, 128, 1),
            LiteralBlock(128, 256, 2), LiteralBlock(256, 256, 1),
            LiteralBlock(256, 512, 2), LiteralBlock(512, 512, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(F.relu(self.norm(self.conv(x)))).mean((2, 3))


def pairs(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Our name and their tensor, without the biases that a norm makes inert."""
    if isinstance(module, LiteralResNet18):
        yield from _normed("stem", module.conv, module.norm)
        for i, block in enumerate(module.blocks):
            name = f"{i // 2}.{i % 2}"
            yield from _normed(f"{name}.0", block.conv1, block.norm1)
            yield from _normed(f"{name}.1", block.conv2, block.norm2)
            if len(block.skip):
                yield from _normed(f"{name}.skip", block.skip[0], block.skip[1])
        return
    layers = [m for m in module.trunk if isinstance(m, (nn.Conv2d, nn.Linear))]
    norms = [m for m in module.trunk if isinstance(m, nn.GroupNorm)]
    for i, layer in enumerate(layers):
        if norms:
            yield from _normed(str(i), layer, norms[i])
        else:
            yield f"{i}.weight", layer.weight
            yield f"{i}.bias", layer.bias


def _normed(name: str, conv: nn.Module, norm: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    yield f"{name}.weight", conv.weight
    yield f"{name}.scale", norm.weight
    yield f"{name}.shift", norm.bias


def load(module: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Copy weights of limbeck.encoders.classic; inert biases stay as they were drawn."""
    with torch.no_grad():
        for name, tensor in pairs(module):
            tensor.copy_(weights[name])
    return module
