"""Features as selections read them: a block of rows at a time, in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BLOCK", "Blocks", "Rows"]

BLOCK = 1 << 25
"""Numbers that are held in double precision (268 MB); larger groups are gone through in blocks of rows."""


class Rows(Protocol):
    """(N, D) numbers that are read a slice of rows at a time; a tensor is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: slice, /) -> Tensor: ...


class Blocks:
    """Goes through ``features`` (N, D) again and again, in double precision: choices compare nearly equal numbers."""

    def __init__(self, features: Rows) -> None:
        self.items, self.width = features.shape
        self.size = max(1, BLOCK // self.width)
        self.features = features[:].double() if self.items <= self.size else features  # once, not for each pick

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, self.items, self.size):
            yield self.features[start : start + self.size].double()

    def row(self, i: int) -> Tensor:
        """(D,) item ``i``."""
        return self.features[i : i + 1].double()[0]

    def mean(self) -> Tensor:
        """(D,) of all items."""
        import torch

        return torch.stack([block.sum(0) for block in self]).sum(0) / self.items
