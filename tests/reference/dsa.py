"""DSA item by item, written from the formulas of docs/audio_visual.md: slow, plain Python over positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def augment(x: Tensor, family: str, uniforms: Tensor) -> Tensor:
    """(N, C, H, W); row n of ``uniforms`` (or its only row) changes item n."""
    rows = uniforms.expand(len(x), -1) if len(uniforms) == 1 else uniforms
    return torch.stack([ITEM[family](item, [float(v) for v in row]) for item, row in zip(x, rows, strict=True)])


def color(x: Tensor, u: list[float]) -> Tensor:
    x = x + (u[0] - 0.5)
    grey = sum(x[c] for c in range(len(x))) / len(x)
    x = torch.stack([(plane - grey) * (2 * u[1]) + grey for plane in x])
    m = x.mean()
    return (x - m) * (u[2] + 0.5) + m


def crop(x: Tensor, u: list[float]) -> Tensor:
    _, h, w = x.shape
    sy, sx = int(0.125 * h + 0.5), int(0.125 * w + 0.5)
    dy, dx = math.floor(u[0] * (2 * sy + 1)) - sy, math.floor(u[1] * (2 * sx + 1)) - sx
    out = torch.zeros_like(x)
    for i in range(h):
        for j in range(w):
            if 0 <= i + dy < h and 0 <= j + dx < w:
                out[:, i, j] = x[:, i + dy, j + dx]
    return out


def cutout(x: Tensor, u: list[float]) -> Tensor:
    _, h, w = x.shape
    out = x.clone()
    ch, cw = int(0.5 * h + 0.5), int(0.5 * w + 0.5)
    cy, cx = math.floor(u[0] * (h + 1 - ch % 2)), math.floor(u[1] * (w + 1 - cw % 2))
    for a in range(ch):
        for b in range(cw):
            i, j = a + cy - ch // 2, b + cx - cw // 2
            if 0 <= i < h and 0 <= j < w:
                out[:, i, j] = 0
    return out


def flip(x: Tensor, u: list[float]) -> Tensor:
    return x.flip(2) if u[0] < 0.5 else x


def scale(x: Tensor, u: list[float]) -> Tensor:
    sx, sy = (v * (1.2 - 1 / 1.2) + 1 / 1.2 for v in u[:2])
    return _sampled(x, lambda gx, gy: (sx * gx, sy * gy))


def rotate(x: Tensor, u: list[float]) -> Tensor:
    angle = (u[0] * 30 - 15) * math.pi / 180
    cos, sin = math.cos(angle), math.sin(angle)
    return _sampled(x, lambda gx, gy: (cos * gx - sin * gy, sin * gx + cos * gy))


def _sampled(x: Tensor, where) -> Tensor:  # type: ignore[no-untyped-def]
    _, h, w = x.shape
    out = torch.zeros_like(x)
    for i in range(h):
        for j in range(w):
            gx, gy = where((2 * j + 1) / w - 1, (2 * i + 1) / h - 1)
            px, py = ((gx + 1) * w - 1) / 2, ((gy + 1) * h - 1) / 2
            for row in (math.floor(py), math.floor(py) + 1):
                for column in (math.floor(px), math.floor(px) + 1):
                    if 0 <= row < h and 0 <= column < w:
                        out[:, i, j] += (1 - abs(py - row)) * (1 - abs(px - column)) * x[:, row, column]
    return out


ITEM = {"color": color, "crop": crop, "cutout": cutout, "flip": flip, "scale": scale, "rotate": rotate}
