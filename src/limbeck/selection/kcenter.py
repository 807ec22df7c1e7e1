"""K-center: items from which no item is far (Sener and Savarese, "Active learning for convolutional neural networks:
a core-set approach")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import DataError
from limbeck.selection.rows import Points, Rows, points_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["kcenter"]


def kcenter(features: Rows | Points, count: int, first: int | None = None) -> Tensor:
    r"""The greedy order of k-center.

    The first centre is the item nearest to the mean, or ``first``; pick i is
    :math:`\arg\max_x \min_{j<i} |f(x) - f(x_j)|_2`, the item farthest from its nearest centre (docs/audio_visual.md).
    Ties go to the lower row.

    Args:
        features: (N, D), or what answers for them.
        count: how many to pick, at most N.
        first: the item to begin with.

    Returns:
        (count,) int64 rows of ``features``, in the order picked.

    Raises:
        DataError: where fewer than ``count`` items are there.
    """
    import torch

    points = points_of(features)
    if count > points.items:
        raise DataError(f"k-center of {count} of {points.items} items")
    if not count:
        return torch.zeros(0, dtype=torch.int64)
    picked = [int(points.squared_distances(points.mean()).argmin()) if first is None else first]
    nearest = points.squared_distances(points.row(picked[0]))
    while len(picked) < count:
        nearest[picked[-1]] = -torch.inf  # equal items are at distance 0 too
        picked.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, points.squared_distances(points.row(picked[-1])))
    return torch.tensor(picked, dtype=torch.int64)
