"""Herding: items whose running mean follows the class mean (Welling, "Herding dynamical weights to learn")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["herding"]


def herding(features: Tensor, count: int) -> Tensor:
    r"""The greedy order of herding.

    Pick i is :math:`\arg\min_x |(i + 1) \mu - \sum_{j<i} f(x_j) - f(x)|_2` among the items not yet picked
    (docs/audio_visual.md). Ties go
    to the lower row.

    Args:
        features: (N, D).
        count: how many to pick, at most N.

    Returns:
        (count,) int64 rows of ``features``, in the order picked.

    Raises:
        DataError: where fewer than ``count`` items are there.
    """
    import torch

    if count > len(features):
        raise DataError(f"herding {count} of {len(features)} items")
    f = features.double()  # the argmin compares nearly equal numbers
    squares, mean = f.square().sum(1), f.mean(0)
    open_ = torch.ones(len(f), dtype=torch.bool, device=f.device)
    total, picked = torch.zeros_like(mean), []
    for i in range(count):
        target = (i + 1) * mean - total
        distance = squares - 2 * (f @ target)  # |target|^2 is the same for all
        choice = int(distance.masked_fill(~open_, torch.inf).argmin())
        picked.append(choice)
        open_[choice] = False
        total = total + f[choice]
    return torch.tensor(picked, dtype=torch.int64)
