"""Fixed features of small pictures: how much the patches of a picture look like those of a dictionary.

Whitened patches, a dictionary learnt by k-means, rectified responses pooled over a coarse grid (Coates, Ng and Lee
2011). Nothing in it learns, so what it says of real pictures is computed once; a picture costs one matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Encoder, Weights
from limbeck.errors import ConfigError

__all__ = ["PatchDictionary", "contrast_normalised"]

SOFTENING = 0.01
"""Added below the root of a pooled response, whose slope at zero has no end."""
AT_ONCE = {"cpu": 4, "cuda": 256}
"""Pictures a pass takes: on a CPU what stays in its cache, which is twice as fast."""


@dataclass(frozen=True)
class PatchDictionary(Encoder):
    r"""(N, ``in_channels``, ``height``, ``width``) -> (N, ``grid``^2 x ``atoms``), differentiable twice.

    .. math:: p' = \frac{p - \bar p}{\sqrt{\mathrm{var}(p) + c}}, \quad
        f_k = \sqrt{\mathrm{pool}(\max(\langle w_k, p' \rangle - b_k, 0)) + 0.01}, \quad
        \mathrm{out} = (f - m) \, s

    Weights are ``filters`` w (K, C x side^2), ``offset`` b (K,), and ``mean`` m and ``scale`` s (D,) of the real set.
    Everything is float32 whatever a run's precision.

    Args:
        side, stride: of a patch, and between patches, in pixels.
        contrast: c, in squared units of normalised pixels.
        grid: cells a side of the pool.
    """

    in_channels: int
    height: int
    width: int
    atoms: int = 200
    side: int = 6
    stride: int = 2
    grid: int = 2
    contrast: float = 0.01

    def __post_init__(self) -> None:
        if min(self.in_channels, self.atoms, self.side, self.stride, self.grid) < 1 or not self.contrast > 0:
            raise ConfigError(f"a dictionary of {self.atoms} patches of {self.side}, grid {self.grid}")
        if min(self.positions) < self.grid:
            raise ConfigError(
                f"patches of {self.side} x {self.side} do not fit items of {self.height} x {self.width} often enough",
                hint="Prepare larger items, or choose another tower.",
            )

    @property
    def positions(self) -> tuple[int, int]:
        """Patches down and across."""
        return (self.height - self.side) // self.stride + 1, (self.width - self.side) // self.stride + 1

    @property
    def numbers(self) -> int:
        """Of a patch."""
        return self.in_channels * self.side**2

    @property
    def embedding(self) -> int:
        return self.atoms * self.grid**2

    @property
    def id(self) -> str:
        shape = f"{self.in_channels}x{self.height}x{self.width}"
        return f"patches-{shape}-k{self.atoms}-p{self.side}-s{self.stride}-g{self.grid}-c{self.contrast:g}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.height, self.width)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        k, d = (self.atoms,), (self.embedding,)
        return {"filters": (*k, self.numbers), "offset": k, "mean": d, "scale": d}

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        """A dictionary of noise; it is as fast as a fitted one."""
        filters = torch.randn(self.shapes["filters"], generator=generator) / self.numbers**0.5
        zero, mean = torch.zeros(self.atoms), torch.zeros(self.embedding)
        weights = {"filters": filters, "offset": zero, "mean": mean, "scale": torch.ones(self.embedding)}
        return {name: value.to(device) for name, value in weights.items()}

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return (self.pooled(weights, x) - weights["mean"]) * weights["scale"]

    def pooled(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """f of the class's equation, (N, D): what ``mean`` and ``scale`` are the constants of."""
        self.check(x)
        pool, bias = self._pool.to(x), -weights["offset"]
        found = [x.new_empty(0, self.embedding)]
        for some in x.split(AT_ONCE.get(x.device.type, 64)):
            patches = F.unfold(some, self.side, stride=self.stride).mT
            responses = F.relu(F.linear(contrast_normalised(patches, self.contrast), weights["filters"], bias))
            found.append((pool @ responses).flatten(1))
        return (torch.cat(found) + SOFTENING).sqrt()

    @cached_property
    def _pool(self) -> Tensor:
        """(grid^2, patches): adaptive average pooling as a matrix."""
        rows, columns = self.positions
        each = torch.eye(rows * columns, dtype=torch.float64).view(-1, rows, columns)
        return F.adaptive_avg_pool2d(each, self.grid).flatten(1).T.contiguous()


def contrast_normalised(patches: Tensor, contrast: float) -> Tensor:
    """(..., P) -> the same with mean 0 and, but for ``contrast``, variance 1; a constant patch becomes zero."""
    centred = patches - patches.mean(-1, keepdim=True)
    return centred * (centred.square().mean(-1, keepdim=True) + contrast).rsqrt()
