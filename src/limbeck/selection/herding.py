"""Herding: items whose running mean follows the class mean (Welling, "Herding dynamical weights to learn")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import DataError
from limbeck.selection.rows import Points, Rows, points_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["herding"]


def herding(features: Rows | Points, count: int) -> Tensor:
    r"""The greedy order of herding.

    Pick i is :math:`\arg\min_x |(i + 1) \mu - \sum_{j<i} f(x_j) - f(x)|_2` among the items not yet picked
    (docs/audio_visual.md). Ties go to the lower row.

    Args:
        features: (N, D), or what answers for them.
        count: how many to pick, at most N.

    Returns:
        (count,) int64 rows of ``features``, in the order picked.

    Raises:
        DataError: where fewer than ``count`` items are there.
    """
    import torch

    points = points_of(features)
    if count > points.items:
        raise DataError(f"herding {count} of {points.items} items")
    squares, mean = points.squares(), points.mean()
    closed = torch.zeros_like(squares)
    total, picked = torch.zeros_like(mean), []
    for i in range(count):
        target = (i + 1) * mean - total
        distance = squares - 2 * points.along(target)  # |target|^2 is the same for all
        choice = int((distance + closed).argmin())
        picked.append(choice)
        closed[choice] = torch.inf
        total = total + points.row(choice)
    return torch.tensor(picked, dtype=torch.int64)
