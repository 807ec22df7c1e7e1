"""Pairs as points of one space, without a table of them: greedy choices ask each half, and an image once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from limbeck.selection.rows import BLOCK, Blocks, Points

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.selection.kmeans import Halves

__all__ = ["PairPoints"]


class PairPoints(Points):
    """R pairs as :math:`[z^v; z^t]` ("joined", 2D numbers) or :math:`z^v + z^t` ("added", D numbers).

    Args:
        halves: of any lengths; here each has unit length.
    """

    def __init__(self, halves: Halves, way: Literal["joined", "added"]) -> None:
        self.items, self.way, self.owner = len(halves), way, halves.owner
        self._units = _Units(halves.images), _Units(halves.captions)
        self.images, self.captions = Blocks(self._units[0]), Blocks(self._units[1])

    def squares(self) -> Tensor:
        return self._squares

    def along(self, direction: Tensor) -> Tensor:
        parts = direction.split([self.images.width, self.captions.width]) if self.way == "joined" else [direction] * 2
        return self.images.along(parts[0])[self.owner] + self.captions.along(parts[1])

    def squared_distances(self, point: Tensor) -> Tensor:
        return (self._squares - 2 * self.along(point) + point.square().sum()).clamp(min=0)

    def row(self, i: int) -> Tensor:
        return self._put(self.images.row(int(self.owner[i])), self.captions.row(i))

    def mean(self) -> Tensor:
        import torch

        pairs_of = torch.bincount(self.owner, minlength=self.images.items).double()
        size = self.images.size
        sums = [pairs_of[k * size : k * size + len(block)] @ block for k, block in enumerate(self.images)]
        return self._put(torch.stack(sums).sum(0) / self.items, self.captions.mean())

    @cached_property
    def _squares(self) -> Tensor:
        apart = self.images.squares()[self.owner] + self.captions.squares()
        return apart if self.way == "joined" else apart + 2 * self._products()

    def _products(self) -> Tensor:
        """(R,) of each pair's own two halves."""
        import torch

        size = max(1, BLOCK // self.captions.width)
        images, captions = self._units
        rows = torch.arange(self.items, device=self.owner.device).split(size)
        return torch.cat([(images.take(self.owner[r]) * captions.take(r)).sum(1) for r in rows])

    def _put(self, image: Tensor, caption: Tensor) -> Tensor:
        import torch

        return torch.cat([image, caption]) if self.way == "joined" else image + caption


@dataclass(frozen=True)
class _Units:
    """Rows of a table, each brought to unit length when it is read."""

    table: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.table.shape)

    def __getitem__(self, part: slice) -> Tensor:
        return _unit(self.table[part])

    def take(self, rows: Tensor) -> Tensor:
        return _unit(self.table[rows])


def _unit(x: Tensor) -> Tensor:
    from torch.nn.functional import normalize

    return normalize(x.double(), dim=1)
