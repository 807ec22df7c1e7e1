"""The transformer that every modality has one of. Attribute names are those of the published file's keys."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.encoders.imagebind.config import Part

__all__ = ["EPS", "Attention", "Block", "Trunk"]

EPS = 1e-6
"""Of the norms in trunks and heads [spec 3.7]."""


class Attention(nn.Module):
    """Self-attention as ``torch.nn.MultiheadAttention`` defines it; (N, L, d) -> (N, L, d).

    Args:
        bias_kv: every item has one more key and value, the same for all, appended before the split into heads.
        causal: a token reads those before it and itself.
    """

    def __init__(self, width: int, heads: int, *, bias_kv: bool, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.bias_k = nn.Parameter(torch.empty(1, 1, width)) if bias_kv else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, width)) if bias_kv else None
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(len(x), -1, -1)], 1)
            v = torch.cat([v, self.bias_v.expand(len(x), -1, -1)], 1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return cast(Tensor, self.out_proj(y.transpose(1, 2).flatten(2)))


class Block(nn.Module):
    r""":math:`x \leftarrow x + \mathrm{attn}(\mathrm{LN}_1 x)`, then :math:`x + \mathrm{mlp}(\mathrm{LN}_2 x)`.

    Args:
        drop: chance that an item skips a half of the block while training.
    """

    def __init__(self, part: Part, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.attn = Attention(part.width, part.heads, bias_kv=part.bias_kv, causal=part.kind == "text")
        self.norm_1 = nn.LayerNorm(part.width, eps=EPS)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(part.width, part.hidden), "fc2": nn.Linear(part.hidden, part.width)})
        self.norm_2 = nn.LayerNorm(part.width, eps=EPS)

    def forward(self, x: Tensor, draw: torch.Generator | None = None) -> Tensor:
        x = x + self._path(self.attn(self.norm_1(x)), draw)
        return x + self._path(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm_2(x)))), draw)

    def _path(self, y: Tensor, draw: torch.Generator | None) -> Tensor:
        if draw is None or self.drop == 0:
            return y
        kept = torch.rand(len(y), generator=draw) >= self.drop
        return y * (kept / (1 - self.drop)).to(y).view(-1, 1, 1)


class Trunk(nn.Module):
    """(N, L, d) -> (N, L, d); drop-path where ``draw`` is given."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        norms = [nn.LayerNorm(part.width, eps=EPS)] if part.pre_norm else []
        self.pre_transformer_layer = nn.Sequential(*norms)
        rates = torch.linspace(0, part.drop_path, part.blocks, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(part, drop) for drop in rates)

    def forward(self, x: Tensor, draw: torch.Generator | None = None) -> Tensor:
        x = self.pre_transformer_layer(x)
        for block in self.blocks:
            x = block(x, draw)
        return x
