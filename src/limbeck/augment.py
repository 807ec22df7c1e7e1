"""DSA: differentiable Siamese augmentation (docs/audio_visual.md), one family of changes a call.

A :class:`Draw` holds numbers in [0, 1) and no sizes, so the same draw changes real and synthetic items, pictures and
spectrograms alike. Siamese draws change every item of a batch in the same way; per-item draws (training of students)
do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ConfigError, ShapeError, nearest

__all__ = ["DSA", "Draw"]

BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
CROP, CUTOUT = 0.125, 0.5
SCALE, ROTATION = 1.2, 15.0  # degrees
"""The strengths of every paper of the field [code]."""
UNIFORMS = 3
"""Numbers that the hungriest family (color) uses."""


@dataclass(frozen=True)
class Draw:
    """One family and its random numbers.

    Args:
        family: which change.
        uniforms: (1, 3) for a Siamese draw, (N, 3) for per-item draws; float64 in [0, 1) on the CPU.
    """

    family: str
    uniforms: Tensor

    @property
    def siamese(self) -> bool:
        """One set of parameters for every item."""
        return len(self.uniforms) == 1


@dataclass(frozen=True)
class DSA:
    """Draws changes and applies them to (N, C, H, W); differentiable in the items, twice too."""

    families: tuple[str, ...] = field(default=("color", "crop", "cutout", "flip", "scale", "rotate"))

    def __post_init__(self) -> None:
        if not self.families:
            raise ConfigError("DSA without a family changes nothing", hint="Switch augmentation off instead.")
        for name in self.families:
            if name not in FAMILIES:
                raise ConfigError(f"unknown DSA family {name!r}", where="families", hint=nearest(name, FAMILIES))

    @property
    def id(self) -> str:
        """What a cache of augmented statistics is keyed by; the number counts changes of the formulas."""
        return "dsa1-" + "-".join(self.families)

    def draw(self, generator: torch.Generator) -> Draw:
        """A Siamese draw."""
        return self.draw_items(generator, 1)

    def draw_items(self, generator: torch.Generator, n: int) -> Draw:
        """One family for the batch, parameters for each of its ``n`` items."""
        which = int(torch.randint(len(self.families), (), generator=generator))
        return Draw(self.families[which], torch.rand(n, UNIFORMS, generator=generator, dtype=torch.float64))

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """(N, C, H, W) -> the same shape. Raises ShapeError where a per-item draw is for another number of items."""
        if x.dim() != 4:
            raise ShapeError(f"DSA changes items of (C, H, W), the batch is {tuple(x.shape)}")
        if not draw.siamese and len(draw.uniforms) != len(x):
            raise ShapeError(f"the draw is for {len(draw.uniforms)} items, the batch has {len(x)}")
        return FAMILIES[draw.family](x, draw.uniforms)


def _column(x: Tensor, u: Tensor, index: int) -> Tensor:
    """Numbers ``index`` as (1 or N, 1, 1, 1) beside the items."""
    return u[:, index].to(x.device, x.dtype).view(-1, 1, 1, 1)


def color(x: Tensor, u: Tensor) -> Tensor:
    """Brightness, then saturation, then contrast [code]; saturation leaves one channel as it is."""
    x = x + (_column(x, u, 0) - 0.5) * BRIGHTNESS
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (_column(x, u, 1) * SATURATION) + grey
    centre = x.mean((1, 2, 3), keepdim=True)
    return (x - centre) * (_column(x, u, 2) + CONTRAST) + centre


def crop(x: Tensor, u: Tensor) -> Tensor:
    """Shift by whole pixels, at most an eighth of each side; what comes in is zero."""
    h, w = x.shape[2:]
    dy, dx = (_whole(u[:, i], 2 * reach + 1) - reach for i, reach in enumerate((_part(h, CROP), _part(w, CROP))))
    if len(u) == 1:
        y, z = int(dy), int(dx)
        return F.pad(x, (-z, z, -y, y))
    return _shift(_shift(x, dy, 2), dx, 3)


def cutout(x: Tensor, u: Tensor) -> Tensor:
    """Zero a rectangle of half the height and width around a random centre, less where the border cuts it."""
    bounds = [_span(u[:, i], side) for i, side in enumerate(x.shape[2:])]
    if len(u) == 1:
        (top, bottom), (left, right) = ((int(a), int(b)) for a, b in bounds)
        x = x.clone()
        x[:, :, top:bottom, left:right] = 0
        return x
    rows, columns = (_inside(a, b, side, x) for (a, b), side in zip(bounds, x.shape[2:], strict=True))
    return x.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0)


def flip(x: Tensor, u: Tensor) -> Tensor:
    """Left to right with probability one half; for sound this is time backwards."""
    if len(u) == 1:
        return x.flip(3) if float(u[0, 0]) < 0.5 else x
    return torch.where(_column(x, u, 0) < 0.5, x.flip(3), x)


def scale(x: Tensor, u: Tensor) -> Tensor:
    """Stretch each axis by its own factor of 1/1.2 .. 1.2 of the sampling grid."""
    sx, sy = (u[:, i] * (SCALE - 1 / SCALE) + 1 / SCALE for i in range(2))
    zero = torch.zeros_like(sx)
    return _affine(x, torch.stack([sx, zero, zero, zero, sy, zero], 1))


def rotate(x: Tensor, u: Tensor) -> Tensor:
    """Turn the sampling grid by -15 .. 15 degrees, in units of half a side (so a picture that is not square shears)."""
    angle = (u[:, 0] - 0.5) * 2 * math.radians(ROTATION)
    sin, cos, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    return _affine(x, torch.stack([cos, -sin, zero, sin, cos, zero], 1))


FAMILIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "color": color,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
    "scale": scale,
    "rotate": rotate,
}


def _part(side: int, share: float) -> int:
    return int(side * share + 0.5)


def _whole(u: Tensor, n: int) -> Tensor:
    """Uniform numbers to integers 0 .. n-1."""
    return (u * n).long()


def _span(u: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """First and one past the last zeroed row (or column). An even length has one more place for its centre [code]."""
    length = _part(side, CUTOUT)
    first = _whole(u, side + 1 - length % 2) - length // 2
    return first.clamp(min=0), (first + length).clamp(max=side)


def _inside(first: Tensor, end: Tensor, side: int, x: Tensor) -> Tensor:
    place = torch.arange(side, device=x.device)
    return (place >= first.to(x.device).unsqueeze(1)) & (place < end.to(x.device).unsqueeze(1))


def _shift(x: Tensor, by: Tensor, dim: int) -> Tensor:
    """Item n's position p becomes its position p + by[n], zero where there is none."""
    side = x.shape[dim]
    source = torch.arange(side, device=x.device) + by.to(x.device).unsqueeze(1)
    shape = (len(x), 1, side, 1) if dim == 2 else (len(x), 1, 1, side)
    inside = ((source >= 0) & (source < side)).view(shape)
    moved = x.gather(dim, source.clamp(0, side - 1).view(shape).expand_as(x))
    return moved * inside


def _affine(x: Tensor, theta: Tensor) -> Tensor:
    """Bilinear samples on the grid ``theta`` (1 or N, 6); one grid serves all items of a Siamese draw."""
    theta = theta.view(-1, 2, 3).to(x.device, x.dtype)
    grid = F.affine_grid(theta, [len(theta), *x.shape[1:]], align_corners=False).expand(len(x), -1, -1, -1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
