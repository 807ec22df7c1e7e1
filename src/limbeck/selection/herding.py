"""Herding: items whose running mean follows the class mean (Welling, "Herding dynamical weights to learn")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from limbeck.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Rows", "herding"]

BLOCK = 1 << 25
"""Numbers that are held in double precision (268 MB); larger groups are gone through in blocks of rows."""


class Rows(Protocol):
    """(N, D) numbers that are read a slice of rows at a time; a tensor is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: slice, /) -> Tensor: ...


def herding(features: Rows, count: int) -> Tensor:
    r"""The greedy order of herding.

    Pick i is :math:`\arg\min_x |(i + 1) \mu - \sum_{j<i} f(x_j) - f(x)|_2` among the items not yet picked
    (docs/audio_visual.md). Ties go to the lower row.

    Args:
        features: (N, D).
        count: how many to pick, at most N.

    Returns:
        (count,) int64 rows of ``features``, in the order picked.

    Raises:
        DataError: where fewer than ``count`` items are there.
    """
    import torch

    items, width = features.shape
    if count > items:
        raise DataError(f"herding {count} of {items} items")
    size = max(1, BLOCK // width)
    if items <= size:
        features = features[:].double()  # once, not for each pick

    def blocks() -> Iterator[Tensor]:
        for start in range(0, items, size):
            yield features[start : start + size].double()  # the argmin compares nearly equal numbers

    squares = torch.cat([f.square().sum(1) for f in blocks()])
    mean = torch.stack([f.sum(0) for f in blocks()]).sum(0) / items
    closed = torch.zeros_like(squares)
    total, picked = torch.zeros_like(mean), []
    for i in range(count):
        target = (i + 1) * mean - total
        distance = squares - 2 * torch.cat([f @ target for f in blocks()])  # |target|^2 is the same for all
        choice = int((distance + closed).argmin())
        picked.append(choice)
        closed[choice] = torch.inf
        total = total + features[choice : choice + 1].double()[0]
    return torch.tensor(picked, dtype=torch.int64)
