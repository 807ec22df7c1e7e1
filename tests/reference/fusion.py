"""Attention fusion item by item and position by position, as the formula reads."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def attention(f_a: Tensor, f_v: Tensor, channels: int, weights: Mapping[str, Tensor]) -> Tensor:
    """(D,) of the asking and (D,) of the asked modality -> (C,) of one item."""

    def layer(name: str, x: Tensor) -> Tensor:
        return nn.functional.linear(x, weights[f"fused/{name}.weight"], weights[f"fused/{name}.bias"])

    positions = len(f_a) // channels
    pooled = torch.stack([f_a[k * positions : (k + 1) * positions].mean() for k in range(channels)])
    asked = [torch.stack([f_v[k * positions + p] for k in range(channels)]) for p in range(positions)]
    scores = [
        sum(a * b for a, b in zip(layer("asking", pooled).tanh(), layer("asked", f).tanh(), strict=True)) for f in asked
    ]
    total = sum(math.exp(float(s)) for s in scores)
    heard = torch.stack([math.exp(float(s)) / total * f for s, f in zip(scores, asked, strict=True)]).sum(0)
    return layer("head", layer("out_asking", pooled).tanh() + layer("out_asked", heard).tanh())
