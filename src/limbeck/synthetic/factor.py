"""The factor: one stored item holds l x l smaller ones (docs/audio_visual.md; the idea is IDM's partitioning).

Cells are cut at ``round(i * H / l)`` and go column by column: for l = 2 top-left, bottom-left, top-right,
bottom-right. Both ways are bilinear without antialias and without aligned corners. Resampling is two small matrix
products rather than an interpolation kernel: exact, cheap at these sizes, and one source of non-determinism fewer (the
backward pass of the kernels adds up in any order on a GPU; augmentation, which samples a grid, still has one).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from limbeck.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cells", "decode", "encode"]


def cells(height: int, width: int, factor: int) -> list[tuple[slice, slice]]:
    """(rows, columns) of each cell, in the order items are packed."""
    if factor < 1 or factor > min(height, width):
        raise ShapeError(
            f"factor {factor} does not fit items of {height} x {width}", hint="Choose a factor of 1, 2 or 3."
        )

    def spans(size: int) -> list[slice]:
        edges = [round(i * size / factor) for i in range(factor + 1)]
        return [slice(a, b) for a, b in pairwise(edges)]

    return [(row, column) for column in spans(width) for row in spans(height)]


def encode(parts: Tensor, factor: int) -> Tensor:
    """Pack l*l items into one: (l*l, N, C, H, W) -> (N, C, H, W), each part shrunk into its cell."""
    if parts.ndim != 5 or parts.shape[0] != factor**2:
        raise ShapeError(f"expected ({factor**2}, N, C, H, W), got {tuple(parts.shape)}")
    if factor == 1:
        return parts[0].clone()
    height, width = parts.shape[-2:]
    packed = parts.new_empty(parts.shape[1:])
    for part, (rows, columns) in zip(parts, cells(height, width, factor), strict=True):
        packed[..., rows, columns] = _resize(part, rows.stop - rows.start, columns.stop - columns.start)
    return packed


def decode(packed: Tensor, factor: int) -> Tensor:
    """Unpack, differentiably: (N, C, H, W) -> (l*l, N, C, H, W), each cell enlarged to the whole size."""
    import torch

    if factor == 1:
        return packed.unsqueeze(0)
    height, width = packed.shape[-2:]
    parts = [_resize(packed[..., r, c], height, width) for r, c in cells(height, width, factor)]
    return torch.stack(parts)


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, separable: (..., h, w) -> (..., height, width)."""
    down = _weights(x.shape[-2], height, str(x.device), str(x.dtype))
    across = _weights(x.shape[-1], width, str(x.device), str(x.dtype))
    return down @ x @ across.mT


@lru_cache(maxsize=64)
def _weights(source: int, target: int, device: str, dtype: str) -> Tensor:
    """(target, source): each row weighs the two source positions nearest to the target's centre."""
    import torch

    scale = source / target
    matrix = torch.zeros(target, source, dtype=torch.float64)
    for i in range(target):
        position = max((i + 0.5) * scale - 0.5, 0.0)
        low = min(int(position), source - 1)
        high = min(low + 1, source - 1)
        matrix[i, low] += 1 - (position - low)
        matrix[i, high] += position - low
    return matrix.to(device=device, dtype=getattr(torch, dtype.removeprefix("torch.")))
