r"""LoRS's similarity of synthetic pairs, learnt with them: a diagonal and a product of low rank.

.. math:: S = \mathrm{diag}(w) + \frac{\alpha}{r} L R^\top, \quad w \in \mathbb{R}^N, \;
    L, R \in \mathbb{R}^{N \times r}

It begins as the identity: w = 1, L normal, R = 0. A batch takes rows of w, L and R; what they make is the batch's rows
and columns of S, so S is never needed whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from limbeck.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Factors", "similarity"]


class Factors(NamedTuple):
    """The learnt numbers, each with a row for each pair: N (1 + 2 r) in all.

    Args:
        weight: (N,) w. left: (N, r) L. right: (N, r) R.
    """

    weight: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def identity(cls, items: int, rank: int, draw: torch.Generator) -> Self:
        """The start, float32 on the generator's device. Raises ConfigError without items or rank."""
        import torch

        if items < 1 or rank < 1:
            raise ConfigError(f"a similarity of {items} pairs and rank {rank}", hint="Both are 1 or more.")
        left = torch.randn(items, rank, generator=draw, device=draw.device)
        return cls(torch.ones(items, device=draw.device), left, torch.zeros_like(left))

    def rows(self, chosen: Tensor) -> Self:
        """Those of a batch: (m,) int64, each pair at most once, as a repeated one would be two different ones to S."""
        return type(self)(self.weight[chosen], self.left[chosen], self.right[chosen])


def similarity(weight: Tensor, left: Tensor, right: Tensor, *, alpha: float) -> Tensor:
    """S of the given rows, (m,), (m, r), (m, r) -> (m, m); differentiable in all three.

    Args:
        alpha: how much the low-rank part counts.

    Raises:
        ShapeError: the factors do not fit together.
    """
    if weight.ndim != 1 or left.ndim != 2 or left.shape != right.shape or len(left) != len(weight) or not left.shape[1]:
        raise ShapeError(
            f"factors {tuple(weight.shape)}, {tuple(left.shape)} and {tuple(right.shape)} of a similarity, must be "
            "(N,), (N, r) and (N, r)"
        )
    return weight.diag() + alpha / left.shape[1] * (left @ right.T)
