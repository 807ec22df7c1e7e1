"""Matching where training on the synthetic set arrives with where training on the real set arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import NumericsError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["trajectory_matching"]


def trajectory_matching(start: Tensor, target: Tensor, reached: Tensor) -> Tensor:
    r"""MTT: :math:`|\theta_N - \theta^*|^2 / |\theta_s - \theta^*|^2` (Cazenavette et al., "Dataset Distillation by
    Matching Training Trajectories", CVPR 2022, eq. 2).

    The denominator is how far the expert itself went, so that 1 means the student has come no nearer.

    Args:
        start: (P,) the expert's parameters at the start epoch, theta_s.
        target: (P,) the expert's parameters some epochs later, theta*.
        reached: (P,) the student's after N inner steps from ``start``, theta_N; with gradient.

    Raises:
        ShapeError: unless all three are (P,).
        NumericsError: the expert did not move, or its way is not finite.
    """
    if start.ndim != 1 or not start.shape == target.shape == reached.shape:
        raise ShapeError(
            f"parameters of the start {tuple(start.shape)}, the target {tuple(target.shape)} and the student "
            f"{tuple(reached.shape)}, all must be (P,)"
        )
    way = (start - target).square().sum().detach()
    if not 0 < float(way) < float("inf"):
        raise NumericsError(
            "the expert did not move between its start and its target"
            if float(way) == 0
            else "the expert's way is not finite",
            hint="Train experts anew: with more epochs or a higher rate where they did not move, else a lower one.",
        )
    return (reached - target).square().sum() / way
