"""From the trunk's tokens to one embedding of a set length. Attribute names are the published keys."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.encoders.imagebind.config import Part
from limbeck.encoders.imagebind.trunk import EPS

__all__ = ["LARGEST_SCALE", "Head", "Scale", "TextHead", "head_for", "scale_for", "unit"]

LARGEST_SCALE = 100.0
"""Of a learnt one [spec 3.7]."""


class Head(nn.Sequential):
    """A norm, the class token, while training dropout (IMU), a linear layer without bias: (N, L, d) -> (N, D)."""

    def __init__(self, part: Part, embedding: int) -> None:
        dropout = [nn.Identity()] if part.dropout else []  # keeps the published number of the last layer
        last = nn.Linear(part.width, embedding, bias=False)
        super().__init__(nn.LayerNorm(part.width, eps=EPS), nn.Identity(), *dropout, last)
        self.chance = part.dropout

    def forward(self, tokens: Tensor, draw: torch.Generator | None = None) -> Tensor:
        y = cast(Tensor, self[0](tokens[:, 0]))
        if draw is not None and self.chance:
            kept = torch.rand(y.shape, generator=draw) >= self.chance
            y = y * (kept / (1 - self.chance)).to(y)
        return cast(Tensor, self[-1](y))


class TextHead(nn.Module):
    """The token at ``place`` (N,), the end of the text, and the same two layers."""

    def __init__(self, part: Part, embedding: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.LayerNorm(part.width, eps=EPS), nn.Linear(part.width, embedding, bias=False))

    def forward(self, tokens: Tensor, place: Tensor) -> Tensor:
        rows = torch.arange(len(tokens), device=tokens.device)
        return cast(Tensor, self.proj(tokens[rows, place]))


class Scale(nn.Module):
    """Embeddings of the length e^s, at most 100 where s is learnt; in float32 whatever the trunk computes in."""

    log_logit_scale: Tensor

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.learnt, value = part.learnt_scale, math.log(part.scale)
        if self.learnt:
            self.log_logit_scale = nn.Parameter(torch.tensor(value))
        else:
            self.register_buffer("log_logit_scale", torch.tensor(value, device="cpu"))

    def forward(self, y: Tensor) -> Tensor:
        scale = self.log_logit_scale.to(y.dtype).exp()
        return y * (scale.clamp(max=LARGEST_SCALE) if self.learnt else scale)


def unit(y: Tensor) -> Tensor:
    """(N, D) -> float32 (float64 stays) of length one."""
    return F.normalize(y if y.dtype == torch.float64 else y.float(), dim=-1)


def head_for(part: Part, embedding: int) -> Head | TextHead:
    """The head of a part, weights not drawn."""
    return TextHead(part, embedding) if part.kind == "text" else Head(part, embedding)


def scale_for(part: Part) -> nn.Sequential:
    """What follows the unit length; second of two, as its key says."""
    return nn.Sequential(nn.Identity(), Scale(part))
