"""From an item in its own unit to what ImageBind reads, differentiably [spec 3.7]."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["depth_input", "picture_input", "sound_input", "to_size"]

PICTURE_MEAN, PICTURE_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SOUND_MEAN, SOUND_STD = -4.268, 9.138
DEPTH_MEAN, DEPTH_STD = 0.0418, 0.0295
FOCAL, BASELINE = 518.857901, 0.075
"""Of NYU's sensor (Kinect v1), in pixels and metres; taken for every depth map [choice]."""
NEAREST, FARTHEST, LARGEST_DISPARITY = 0.01, 50.0, 75.0


def picture_input(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, 1 or 3, h, w) in 0..1 -> (N, 3, *size). Bicubic overshoot is not cut off: a cut has no slope [choice]."""
    x = to_size(pixels, size).expand(-1, 3, -1, -1)
    mean, std = (x.new_tensor(values).view(3, 1, 1) for values in (PICTURE_MEAN, PICTURE_STD))
    return (x - mean) / std


def depth_input(metres: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, 1, h, w) -> (N, 1, *size) normalised disparity.

    Without slope nearer than 0.52 m, where the disparity of :data:`LARGEST_DISPARITY` ends, and beyond 50 m. A missing
    reading (0 m) is clipped as the rest and so reads as nearest, as the published formula has it.
    """
    disparity = BASELINE * FOCAL / metres.clamp(NEAREST, FARTHEST)
    x = disparity.clamp(max=LARGEST_DISPARITY) / LARGEST_DISPARITY
    return to_size((x - DEPTH_MEAN) / DEPTH_STD, size)


def sound_input(levels: Tensor, size: tuple[int, int], *, decibel: bool) -> Tensor:
    """(N, clips, h, w) mel energies -> (N, clips, 1, *size), silence added at the end where the size is larger.

    Args:
        decibel: levels are decibel, not natural logarithms, and are turned into them [choice].
    """
    logs = levels * (math.log(10) / 10) if decibel else levels
    x = (logs - SOUND_MEAN) / SOUND_STD
    down, right = (want - have for want, have in zip(size, x.shape[2:], strict=True))
    return F.pad(x, (0, right, 0, down)).unsqueeze(2)


def to_size(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, *size): bicubic with antialiasing until it covers the size, then the centre. Items of
    the size stay as they are."""
    (h, w), (height, width) = x.shape[2:], size
    if (h, w) == size:
        return x
    covering = (
        (height, max(width, w * height // h)) if height * w >= width * h else (max(height, h * width // w), width)
    )
    if covering != (h, w):
        x = F.interpolate(x, covering, mode="bicubic", antialias=True)
    top, left = (round((have - want) / 2) for have, want in zip(covering, size, strict=True))
    return x[:, :, top : top + height, left : left + width]


def token_parts(x: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Items (N, length * W + 1) -> tokens (N, length, W) and the end of each text (N,), which has no slope."""
    place = x[:, -1].detach().round().clamp(0, length - 1).to(torch.long)
    return x[:, :-1].unflatten(1, (length, -1)), place
