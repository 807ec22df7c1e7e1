"""Features as selections read them: a block of rows at a time, in double precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BLOCK", "Blocks", "Points", "Rows", "points_of"]

BLOCK = 1 << 25
"""Numbers that are held in double precision (268 MB); larger groups are gone through in blocks of rows."""


class Rows(Protocol):
    """(N, D) numbers that are read a slice of rows at a time; a tensor is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: slice, /) -> Tensor: ...


class Points(ABC):
    """N items in a space, as greedy choices ask for them; all in double precision: they compare nearly equal numbers.

    Args:
        items: N.
    """

    items: int

    @abstractmethod
    def squares(self) -> Tensor:
        """(N,) squared lengths."""

    @abstractmethod
    def along(self, direction: Tensor) -> Tensor:
        """(N,) inner products with ``direction`` (D,)."""

    @abstractmethod
    def squared_distances(self, point: Tensor) -> Tensor:
        """(N,) from ``point`` (D,)."""

    @abstractmethod
    def row(self, i: int) -> Tensor:
        """(D,) item ``i``."""

    @abstractmethod
    def mean(self) -> Tensor:
        """(D,) of all items."""


class Blocks(Points):
    """Goes through ``features`` (N, D) again and again, a block of rows at a time."""

    def __init__(self, features: Rows) -> None:
        self.items, self.width = features.shape
        self.size = max(1, BLOCK // self.width)
        self.features = features[:].double() if self.items <= self.size else features  # once, not for each pick

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, self.items, self.size):
            yield self.features[start : start + self.size].double()

    def squares(self) -> Tensor:
        import torch

        return torch.cat([f.square().sum(1) for f in self])

    def along(self, direction: Tensor) -> Tensor:
        import torch

        return torch.cat([f @ direction for f in self])

    def squared_distances(self, point: Tensor) -> Tensor:
        import torch

        return torch.cat([(f - point).square().sum(1) for f in self])

    def row(self, i: int) -> Tensor:
        return self.features[i : i + 1].double()[0]

    def mean(self) -> Tensor:
        import torch

        return torch.stack([block.sum(0) for block in self]).sum(0) / self.items


def points_of(features: Rows | Points) -> Points:
    """Rows of numbers as points; points as they are."""
    return features if isinstance(features, Points) else Blocks(features)
