"""Random weights."""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor

from limbeck.encoders.base import Weights
from limbeck.encoders.imagebind.config import Part
from limbeck.encoders.imagebind.model import on_meta

__all__ = ["draw_weights"]

SMALL = 0.02
"""Deviation of class tokens, positions and words."""
NORM = re.compile(r"(norm_\d|norm_layer|pre_transformer_layer\.0|heads\.\w+\.0|proj\.0)\.(weight|bias)$")
TABLE = re.compile(r"(cls_token|pos_embed|token_embedding\.weight)$")
LAST = re.compile(r"(out_proj|fc2)\.weight$")


def draw_weights(part: Part, embedding: int, generator: torch.Generator) -> Weights:
    r"""Parameters of a part by name, from the CPU ``generator`` alone, in the order of the module's names [choice].

    Matrices are normal with deviation :math:`\mathrm{fan\_in}^{-1/2}`, where they end a residual branch
    :math:`(2\,\mathrm{blocks})^{-1/2}` of that, so that a signal keeps its size at any width and depth; a fixed 0.02
    would let a narrow trunk hardly read its input. Tables are small, biases 0, norms 1.
    """
    return {
        name: _drawn(name, tuple(like.shape), part, generator)
        for name, like in on_meta(part, embedding).named_parameters()
    }


def _drawn(name: str, shape: tuple[int, ...], part: Part, generator: torch.Generator) -> Tensor:
    if name.endswith("log_logit_scale"):
        return torch.tensor(math.log(part.scale))
    if NORM.search(name):
        return torch.full(shape, float(name.endswith("weight")))
    if name.endswith("bias"):
        return torch.zeros(shape)
    noise = torch.randn(shape, generator=generator)
    if TABLE.search(name):
        return noise * SMALL
    fan_in = shape[-1] if name.endswith(("bias_k", "bias_v")) else math.prod(shape[1:])
    return noise / math.sqrt(fan_in * (2 * part.blocks if LAST.search(name) else 1))
