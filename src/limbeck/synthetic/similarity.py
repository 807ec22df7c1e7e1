r"""LoRS's similarity of synthetic pairs, learnt with them: a diagonal and a product of low rank.

.. math:: S = \mathrm{diag}(w) + \frac{\alpha}{r} L R^\top, \quad w \in \mathbb{R}^N, \;
    L, R \in \mathbb{R}^{N \times r}

It begins as the identity: w = 1, L normal, R = 0. A batch takes rows of w, L and R; what they make is the batch's rows
and columns of S, so S is never needed whole.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from limbeck.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Factors", "Similarity", "similarity"]


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
    _check(weight, left, right)
    return weight.diag() + alpha / left.shape[1] * (left @ right.T)


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike the pairs of a finished set are held to be: what a student is trained with beside the pairs.

    Args:
        factors: of N pairs.
        alpha: how much the low-rank part counts.

    Raises:
        ShapeError: the factors do not fit together. ConfigError: an alpha that is no number.
    """

    factors: Factors
    alpha: float

    def __post_init__(self) -> None:
        _check(*self.factors)
        number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool)
        if not number or not abs(self.alpha) <= sys.float_info.max:
            raise ConfigError(f"alpha is {self.alpha!r}", hint="It is a number.")

    def __len__(self) -> int:
        """N."""
        return len(self.factors.weight)

    @property
    def bytes(self) -> int:
        """Of the learnt numbers."""
        return sum(x.numel() * x.element_size() for x in self.factors)

    def rows(self, chosen: Tensor) -> Tensor:
        """S of a batch, on the factors' device: (m,) int64, each pair at most once -> (m, m)."""
        return similarity(*self.factors.rows(chosen.to(self.factors.weight.device)), alpha=self.alpha)

    def full(self) -> Tensor:
        """S, (N, N)."""
        return similarity(*self.factors, alpha=self.alpha)

    def to(self, device: str | torch.device) -> Similarity:
        """The same on ``device``, without graph."""
        return Similarity(Factors(*(x.detach().to(device) for x in self.factors)), self.alpha)


def _check(weight: Tensor, left: Tensor, right: Tensor) -> None:
    if weight.ndim != 1 or left.ndim != 2 or left.shape != right.shape or len(left) != len(weight) or not left.shape[1]:
        raise ShapeError(
            f"factors {tuple(weight.shape)}, {tuple(left.shape)} and {tuple(right.shape)} of a similarity, must be "
            "(N,), (N, r) and (N, r)"
        )
