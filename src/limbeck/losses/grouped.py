"""Embeddings of several classes, one class after the other: what the losses between distributions take.

Legend: K classes of n_k rows, N rows together, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

import torch
from torch import Tensor

from limbeck.errors import ShapeError

__all__ = ["Counts", "Discrepancy", "Grouped", "check_counts", "class_means", "unit"]

Counts: TypeAlias = tuple[int, ...]
"""Rows of each of K classes."""
Discrepancy: TypeAlias = Callable[[Tensor, Counts, Tensor, Counts], Tensor]
"""How far apart two sets are, class by class and summed: (N, D) with counts, (M, D) with counts of as many classes -> a
scalar."""


@dataclass(frozen=True, eq=False)
class Grouped:
    """Rows of K classes in each modality; row i of every modality belongs to the same item.

    Args:
        rows: by modality (N, D), class after class.
        counts: n_k, which add up to N.

    Raises:
        ShapeError: no modality, no class, an empty class, or rows that do not fit the counts.
    """

    rows: Mapping[str, Tensor]
    counts: Counts

    def __post_init__(self) -> None:
        if not self.rows:
            raise ShapeError("rows of no modality")
        for name, rows in self.rows.items():
            check_counts(rows, self.counts, name)

    def means(self) -> dict[str, Tensor]:
        """By modality (K, D)."""
        return {name: class_means(rows, self.counts) for name, rows in self.rows.items()}

    def unit(self) -> Self:
        """The same with every row at unit length, see :func:`unit`."""
        return type(self)({name: unit(rows) for name, rows in self.rows.items()}, self.counts)


def unit(x: Tensor) -> Tensor:
    r"""x / |x| along the last dimension: (\*, D) -> (\*, D). A row of zeros stays zero and passes no gradient."""
    square = x.square().sum(-1, keepdim=True)
    there = square > 0
    return torch.where(there, x / torch.where(there, square, 1.0).sqrt(), 0.0)


def class_means(rows: Tensor, counts: Counts) -> Tensor:
    """Means over the rows of each class: (N, D) -> (K, D). Raises ShapeError where counts do not fit."""
    check_counts(rows, counts)
    return torch.stack([part.mean(0) for part in rows.split(counts)])


def check_counts(rows: Tensor, counts: Counts, name: str = "rows") -> None:
    """Raises ShapeError unless ``rows`` are (N, D) and hold one or more of each of one or more classes."""
    if rows.ndim != 2 or not counts or min(counts) < 1 or sum(counts) != len(rows):
        raise ShapeError(
            f"{name}: {tuple(rows.shape)} for classes of {list(counts)} rows, must be (N, D) with 1 or more rows of "
            "each of 1 or more classes, N together"
        )
