"""K-center: items from which no item is far (Sener and Savarese, "Active learning for convolutional neural networks:
a core-set approach")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import DataError
from limbeck.selection.rows import Blocks, Rows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["kcenter"]


def kcenter(features: Rows, count: int) -> Tensor:
    r"""The greedy order of k-center.

    The first centre is the item nearest to the mean; pick i is :math:`\arg\max_x \min_{j<i} |f(x) - f(x_j)|_2`, the
    item farthest from its nearest centre (docs/audio_visual.md). Ties go to the lower row.

    Args:
        features: (N, D).
        count: how many to pick, at most N.

    Returns:
        (count,) int64 rows of ``features``, in the order picked.

    Raises:
        DataError: where fewer than ``count`` items are there.
    """
    import torch

    items, _ = features.shape
    if count > items:
        raise DataError(f"k-center of {count} of {items} items")
    if not count:
        return torch.zeros(0, dtype=torch.int64)
    blocks = Blocks(features)

    def squared_distances(point: Tensor) -> Tensor:
        return torch.cat([(f - point).square().sum(1) for f in blocks])

    picked = [int(squared_distances(blocks.mean()).argmin())]
    nearest = torch.full((items,), torch.inf, dtype=torch.float64)
    for _ in range(1, count):
        nearest = torch.minimum(nearest, squared_distances(blocks.row(picked[-1])))
        nearest[picked[-1]] = -torch.inf  # equal items are at distance 0 too
        picked.append(int(nearest.argmax()))
    return torch.tensor(picked, dtype=torch.int64)
