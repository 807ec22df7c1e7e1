"""What makes tokens of an item: (N, ...) -> (N, L, d), positions added. Attribute names are the published keys."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.encoders.imagebind.config import Part

__all__ = ["ImuStem", "PictureStem", "Stem", "TextStem", "VisionStem", "stem_for"]


class Stem(nn.Module):
    """A class token before the tokens of an item, and a learnt position on each."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part
        self.cls_token = nn.Parameter(torch.empty(1, 1, part.width))
        position = nn.Parameter(torch.empty(1, part.tokens, part.width))
        if part.kind == "imu":
            self.pos_embed = position
        else:
            self.pos_embedding_helper = nn.ParameterDict({"pos_embed": position})

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patches(x)], 1)
        return tokens + (self.pos_embed if self.part.kind == "imu" else self.pos_embedding_helper["pos_embed"])

    def patches(self, x: Tensor) -> Tensor:
        """(N, *input) -> (N, L - 1, d)."""
        raise NotImplementedError


class VisionStem(Stem):
    """A picture (N, 3, H, W), or frames (N, 3, T, H, W), by a convolution over space and time without bias."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        kernel = (part.frames, part.patch, part.patch)
        convolution = nn.Conv3d(
            part.input[0], part.width, kernel, stride=(part.frames, part.stride, part.stride), bias=False
        )
        proj = nn.Sequential(nn.Identity(), convolution)
        self.rgbt_stem = nn.ModuleDict({"proj": proj})

    def patches(self, x: Tensor) -> Tensor:
        weight = cast(nn.Sequential, self.rgbt_stem["proj"])[1].weight
        if x.dim() == 4:  # a still is T equal frames: the same as the kernel's sum over time, without the copies
            found = F.conv2d(x, cast(Tensor, weight).sum(2), stride=self.part.stride)
        else:
            found = self.rgbt_stem["proj"](x)
        return found.flatten(2).transpose(1, 2)


class PictureStem(Stem):
    """A spectrogram, depth map or thermal picture (N, 1, H, W): a convolution without bias, and a norm."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        self.key = "depth_stem" if part.kind == "depth" else "rgbt_stem"
        convolution = nn.Conv2d(part.input[0], part.width, part.patch, stride=part.stride, bias=False)
        self.add_module(self.key, nn.ModuleDict({"proj": convolution, "norm_layer": nn.LayerNorm(part.width)}))

    def patches(self, x: Tensor) -> Tensor:
        layers = cast(nn.ModuleDict, self.get_submodule(self.key))
        return cast(Tensor, layers["norm_layer"](layers["proj"](x).flatten(2).transpose(1, 2)))


class ImuStem(Stem):
    """(N, 6, samples): a token reads ``patch`` samples of all channels, channel after channel."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        proj = nn.Linear(part.input[0] * part.patch, part.width, bias=False)
        self.imu_stem = nn.ModuleDict({"proj": proj, "norm_layer": nn.LayerNorm(part.width)})

    def patches(self, x: Tensor) -> Tensor:
        cut = x.unfold(2, self.part.patch, self.part.stride).transpose(1, 2).flatten(2)
        return cast(Tensor, self.imu_stem["norm_layer"](self.imu_stem["proj"](cut)))


class TextStem(nn.Module):
    """(N, L) ids -> (N, L, d). ``mask`` is in the published file; the trunk's attention is causal without it."""

    mask: Tensor

    def __init__(self, part: Part) -> None:
        super().__init__()
        length = part.input[0]
        self.pos_embed = nn.Parameter(torch.empty(1, length, part.width))
        self.register_buffer("mask", torch.full((length, length), float("-inf"), device="cpu").triu(1))
        self.token_embedding = nn.Embedding(part.vocabulary, part.width)

    def forward(self, ids: Tensor) -> Tensor:
        return cast(Tensor, self.token_embedding(ids)) + self.pos_embed


STEMS: dict[str, type[Stem]] = {"vision": VisionStem, "imu": ImuStem}


def stem_for(part: Part) -> Stem | TextStem:
    """The stem of a part, weights not drawn."""
    return TextStem(part) if part.kind == "text" else STEMS.get(part.kind, PictureStem)(part)
