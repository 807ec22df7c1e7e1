"""The published ConvNet as a plain module, with the convolution biases that instance norm makes inert."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LiteralConvNet(nn.Module):
    def __init__(
        self, in_channels: int, blocks: int, channels: int, first_padding: int, grid: tuple[int, int] | None
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(blocks):
            padding = first_padding if i == 0 else 1
            layers += [nn.Conv2d(in_channels if i == 0 else channels, channels, 3, padding=padding)]
            layers += [nn.GroupNorm(channels, channels), nn.ReLU()]
            layers += [nn.AdaptiveAvgPool2d(grid) if grid and i == blocks - 1 else nn.AvgPool2d(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(1)

    def load(self, weights: dict[str, Tensor]) -> LiteralConvNet:
        """Copy the weights of limbeck.encoders.ConvNet; the biases stay as they were drawn."""
        with torch.no_grad():
            for i, block in enumerate(range(0, len(self.layers), 4)):
                self.layers[block].weight.copy_(weights[f"{i}.conv"])
                self.layers[block + 1].weight.copy_(weights[f"{i}.scale"])
                self.layers[block + 1].bias.copy_(weights[f"{i}.shift"])
        return self

    def gradients(self) -> dict[str, Tensor]:
        """Gradients under the names of limbeck.encoders.ConvNet."""
        found = {}
        for i, block in enumerate(range(0, len(self.layers), 4)):
            found[f"{i}.conv"] = self.layers[block].weight.grad
            found[f"{i}.scale"] = self.layers[block + 1].weight.grad
            found[f"{i}.shift"] = self.layers[block + 1].bias.grad
        return found
