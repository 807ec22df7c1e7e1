"""What the image-text papers do to a picture each time a network in training sees it (docs/image_text.md).

A part of it at full size, perhaps flipped, then two of ten changes, each made with probability one half at level 5 of
10 [code of LoRS and MDM, from BLIP]. At that level brightness and sharpness change nothing. It runs on whole batches
where they are, without decoding a picture again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ShapeError
from limbeck.modalities import Image, Modality

__all__ = ["OPERATIONS", "UNIFORMS", "train_transform", "transformed"]

OPERATIONS = (
    "identity", "autocontrast", "brightness", "sharpness", "equalize",
    "shear_x", "shear_y", "translate_x", "translate_y", "rotate",
)  # fmt: skip
"""In the order of the papers' code."""
AREA, RATIO = (0.5, 1.0), (3 / 4, 4 / 3)
ATTEMPTS = 10
"""Parts that are tried before the largest in the middle is taken."""
ROUNDS = 2
SHEAR, ROTATION = 0.15, math.radians(15.0)
SHIFT = 5 / 224
"""Of the side: 5 pixels of the papers' 224 [choice at other sizes]."""
GREY = 128.0
"""What comes in from outside."""
UNIFORMS = 2 * ATTEMPTS + 2 + 1 + 3 * ROUNDS
"""Numbers in [0, 1) an item takes."""


def transformed(x: Tensor, modality: Modality, draw: torch.Generator) -> Tensor:
    """Normalised items, each changed in its own way: (N, C, H, W) -> the same shape, float32.

    Pictures end in 8 bits as a decoded file does. Of another modality the range of each item is what black and white
    are of a picture [choice].

    Args:
        draw: on the CPU; the numbers are the same on every device.
    """
    uniforms = torch.rand(len(x), UNIFORMS, generator=draw, dtype=torch.float64)
    physical = modality.denormalise(x)
    if isinstance(modality, Image):
        low, spread = physical.new_zeros(()), physical.new_ones(())
    else:
        low = physical.amin((1, 2, 3), keepdim=True)
        spread = (physical.amax((1, 2, 3), keepdim=True) - low).clamp(min=1e-12)
    changed = train_transform((physical - low) / spread * 255, uniforms) / 255 * spread + low
    return modality.normalise(modality.to_stored(changed))


def train_transform(levels: Tensor, uniforms: Tensor) -> Tensor:
    """Items of 0..255, (N, C, H, W) -> the same shape.

    Args:
        uniforms: (N, UNIFORMS) in [0, 1) on the CPU: areas and ratios of the parts that are tried, the place, the flip,
            then for each round the operation, whether it is made, its sign.

    Raises:
        ShapeError: they do not fit.
    """
    if levels.dim() != 4 or tuple(uniforms.shape) != (len(levels), UNIFORMS):
        raise ShapeError(f"{tuple(uniforms.shape)} numbers for items {tuple(levels.shape)}, must be (N, {UNIFORMS})")
    height, width = levels.shape[2:]
    boxes = _boxes(uniforms[:, : 2 * ATTEMPTS + 2], height, width).tolist()
    parts = [levels[i : i + 1, :, top : top + h, left : left + w] for i, (top, left, h, w) in enumerate(boxes)]
    # antialias chooses the kernel of picture libraries; nothing is made smaller here
    whole = [F.interpolate(part, (height, width), mode="bicubic", antialias=True) for part in parts]
    x = torch.cat(whole).clamp(0, 255)
    flips = (uniforms[:, 2 * ATTEMPTS + 2] < 0.5).to(x.device).view(-1, 1, 1, 1)
    x = torch.where(flips, x.flip(3), x)
    for at in range(2 * ATTEMPTS + 3, UNIFORMS, 3):
        which, made, sign = uniforms[:, at : at + 3].unbind(1)
        chosen = torch.where(made < 0.5, (which * len(OPERATIONS)).long(), 0)
        x = _operated(x, chosen, torch.where(sign < 0.5, -1.0, 1.0))
    return x


def _boxes(u: Tensor, height: int, width: int) -> Tensor:
    """(N, 4) top, left, height and width of the parts: the first of the attempts that fits inside."""
    area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * u[:, :ATTEMPTS])
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = (low + (high - low) * u[:, ATTEMPTS : 2 * ATTEMPTS]).exp()
    w, h = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.int().argmax(1, keepdim=True)
    found = torch.cat([h.gather(1, first), w.gather(1, first)], 1)
    place = u[:, 2 * ATTEMPTS :]
    corner = (place * (torch.tensor([height, width]) - found + 1)).long()
    inside = torch.tensor([min(height, round(width / RATIO[0])), min(width, round(height * RATIO[1]))])
    middle = (torch.tensor([height, width]) - inside) // 2
    any_fits = fits.any(1, keepdim=True)
    return torch.cat([torch.where(any_fits, corner, middle), torch.where(any_fits, found, inside)], 1)


def _operated(x: Tensor, which: Tensor, sign: Tensor) -> Tensor:
    """One round: only the items that an operation changes are read."""
    moved = which >= OPERATIONS.index("shear_x")
    x = x.clone()
    for chosen, change in (
        (which == OPERATIONS.index("autocontrast"), _autocontrast),
        (which == OPERATIONS.index("equalize"), _equalize),
        (moved, lambda items: _warped(items, _matrices(which[moved], sign[moved], items.shape[-2], items.shape[-1]))),
    ):
        rows = chosen.nonzero()[:, 0].to(x.device)
        if len(rows):
            x[rows] = change(x[rows])
    return x


def _autocontrast(x: Tensor) -> Tensor:
    """Each channel to the whole range; a flat one stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) * 255 / (high - low).clamp(min=1e-6), x)


def _equalize(x: Tensor) -> Tensor:
    """Levels by their rank in their channel, in whole numbers as picture libraries count."""
    levels = x.round().clamp(0, 255).long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.int64, device=x.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    last = counts.gather(2, levels.amax(2, keepdim=True))
    step = (levels.shape[2] - last) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    changed = torch.where(step > 0, table.gather(2, levels), levels)
    return changed.view(x.shape).to(x.dtype)


def _matrices(which: Tensor, sign: Tensor, height: int, width: int) -> Tensor:
    """(n, 6): where in the item each pixel comes from, in pixels, their corners at whole numbers. Shears are about the
    first corner, rotations about the centre."""
    found = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(len(which), 1)
    for name, (column, amount) in {
        "shear_x": (1, SHEAR),
        "shear_y": (3, SHEAR),
        "translate_x": (2, SHIFT * width),
        "translate_y": (5, SHIFT * height),
    }.items():
        chosen = which == OPERATIONS.index(name)
        found[chosen, column] = amount * sign[chosen]
    turned = which == OPERATIONS.index("rotate")
    cos, sin = math.cos(ROTATION), math.sin(ROTATION) * sign[turned]
    y, x = height / 2, width / 2
    whole = torch.full_like(sin, cos)
    found[turned] = torch.stack([whole, -sin, x - cos * x + sin * y, sin, whole, y - sin * x - cos * y], 1)
    return found


def _warped(x: Tensor, matrices: Tensor) -> Tensor:
    """Bilinear samples, grey outside."""
    height, width = x.shape[2:]
    a, b, c, d, e, f = matrices.to(x.device, x.dtype).unbind(1)
    b, d = b * height / width, d * width / height
    theta = torch.stack([a, b, a + b + 2 * c / width - 1, d, e, d + e + 2 * f / height - 1], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x - GREY, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + GREY
