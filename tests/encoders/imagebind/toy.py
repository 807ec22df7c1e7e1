"""A model small enough to be written out, with weights that are nowhere zero or one."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from limbeck.encoders.imagebind import TINY, ImageBindConfig, Part, draw_weights
from limbeck.rng import stream

SMALL = {
    "vision": {"input": (3, 8, 12), "patch": 4, "stride": 4},
    "text": {"input": (7,), "vocabulary": 30},
    "audio": {"input": (1, 8, 11), "patch": 4, "stride": 3},
    "depth": {"input": (1, 8, 8), "patch": 4, "stride": 4},
    "thermal": {"input": (1, 8, 8), "patch": 4, "stride": 4},
    "imu": {"input": (6, 20), "patch": 4, "stride": 4},
}
TOY = ImageBindConfig(
    "toy",
    6,
    tuple(replace(p, width=8, hidden=12, **SMALL[p.kind]) for p in TINY.parts),
)


def toy_weights(part: Part, seed: int = 0, embedding: int = TOY.embedding) -> dict[str, Tensor]:
    """float64, biases and norms away from 0 and 1."""
    drawn = draw_weights(part, embedding, stream(seed, "toy", part.kind))
    noise = stream(seed, "toy noise", part.kind)
    return {n: w.double() + 0.2 * torch.randn(w.shape, generator=noise, dtype=torch.float64) for n, w in drawn.items()}


def toy_items(part: Part, n: int = 2, seed: int = 0) -> Tensor:
    """Items of a part: float64, of text ids."""
    if part.kind == "text":
        return torch.randint(part.vocabulary, (n, *part.input), generator=stream(seed, "ids"))
    return torch.randn(n, *part.input, generator=stream(seed, "items", part.kind), dtype=torch.float64)
