r"""Class prototypes of one modality that the other modalities are drawn to (DAVDD, :math:`L_{align}` and appendix A).

Legend: N items, D width, C classes. Leading dimensions are independent batches: (\*, N, D) items, (\*, C, D)
prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ShapeError

__all__ = ["Prototypes", "align", "class_means"]


@dataclass(frozen=True)
class Prototypes:
    r"""A unit vector for each class and modality; a class that was never seen has none.

    Args:
        values: by modality (\*, C, D), zero for a class never seen.
        counts: (\*, C), items seen of each class. One number serves every modality: an item has them all.
    """

    values: Mapping[str, Tensor]
    counts: Tensor

    @classmethod
    def none(cls, z: Mapping[str, Tensor], classes: int) -> Self:
        r"""No prototype yet, of the sizes that items ``z``, by modality (\*, N, D), ask for."""
        values = {name: x.new_zeros(*x.shape[:-2], classes, x.shape[-1]) for name, x in z.items()}
        first = next(iter(values.values()))
        return cls(values, first.new_zeros(first.shape[:-1]))

    @torch.no_grad()
    def updated(self, z: Mapping[str, Tensor], labels: Tensor, *, ema: float | None = None) -> Self:
        r"""After a batch: :math:`P_c \leftarrow normalise(m P_c + (1 - m) \mu_c)` for each class c in it, where mu is
        the batch's class mean at unit length and :math:`m = N_{prev} / (N_{prev} + N_{batch})`, so that P is a
        cumulative mean (appendix A); with ``ema``, m is that number instead. The first mu of a class becomes its P.

        Args:
            z: by modality (\*, N, D). labels: (\*, N).
        """
        counts, values = self.counts, {}
        for name, x in z.items():
            mu, found = class_means(x, labels, counts.shape[-1])
            counts = self.counts + found
            kept = self.counts / counts.clamp(min=1) if ema is None else ema * (self.counts > 0).to(x.dtype)
            m = kept.unsqueeze(-1)
            moved = F.normalize(m * self.values[name] + (1 - m) * mu, dim=-1)
            values[name] = torch.where((found > 0).unsqueeze(-1), moved, self.values[name])
        return type(self)(values, counts)


def align(z: Mapping[str, Tensor], labels: Tensor, prototypes: Prototypes) -> Tensor:
    r"""Class alignment: the mean over the batch's classes of
    :math:`(1 - \mu_c^A P_c^V) + (1 - \mu_c^V P_c^A)`, mu the batch's class means at unit length, P fixed.

    Classes without a prototype yet are left out [choice]. Of more than two modalities every ordered pair counts, so a
    pair adds what the two of the paper do [choice].

    Args:
        z: by modality (\*, N, D). labels: (\*, N).

    Returns:
        (\*); 0 where no class has a prototype.

    Raises:
        ShapeError: fewer than two modalities, or sizes that do not fit.
    """
    if len(z) < 2 or set(z) != set(prototypes.values):
        raise ShapeError(f"items of {sorted(z)}, prototypes of {sorted(prototypes.values)}; two or more are aligned")
    means = {name: class_means(x, labels, prototypes.counts.shape[-1]) for name, x in z.items()}
    present = (next(iter(means.values()))[1] > 0) & (prototypes.counts > 0)
    total = torch.zeros_like(prototypes.counts)
    for name, other in permutations(z, 2):
        total = total + 1 - (means[name][0] * prototypes.values[other].detach()).sum(-1)
    return total.masked_fill(~present, 0.0).sum(-1) / present.sum(-1).clamp(min=1)


def class_means(x: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    r"""Means by class at unit length (\*, C, D), zero where there is no item, and how many items (\*, C)."""
    if labels.shape != x.shape[:-1]:
        raise ShapeError(f"labels {tuple(labels.shape)} for items {tuple(x.shape)}, must be {tuple(x.shape[:-1])}")
    member = F.one_hot(labels, classes).to(x.dtype)  # (*, N, C)
    counts = member.sum(-2)
    means = member.transpose(-1, -2) @ x / counts.clamp(min=1).unsqueeze(-1)
    return F.normalize(means, dim=-1), counts
