r"""Contrast between items of a batch, and between the modalities of an item (DAVDD, :math:`L_{inter}`,
:math:`L_{intra}`).

Legend: N items, D width, tau temperature. Leading dimensions are independent batches: (\*, N, D) -> (\*).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ConfigError, ShapeError, nearest

__all__ = ["REDUCTIONS", "Reduction", "info_nce", "supervised_contrast"]

Reduction = Literal["mean", "sum"]
REDUCTIONS = ("mean", "sum")


def supervised_contrast(u: Tensor, labels: Tensor, *, temperature: float, reduction: Reduction = "mean") -> Tensor:
    r"""Supervised contrast, DAVDD's loss between samples:

    .. math:: \sum_i \frac{-1}{|W(i)|} \sum_{w \in W(i)}
        \log \frac{\exp(u_i u_w / \tau)}{\sum_{k \neq i} \exp(u_i u_k / \tau)}

    where W(i) are the other items of i's class. Anchors without one are left out.

    Args:
        u: (\*, N, D), of unit length.
        labels: (\*, N) integers.
        reduction: "sum" over anchors as printed; "mean" over the anchors that have a positive [choice]: the sum is
            as much larger as the batch is, and would drown the terms that are means.

    Returns:
        (\*); 0 where no anchor has a positive.

    Raises:
        ShapeError: labels do not fit. ConfigError: temperature or reduction.
    """
    _check(u, temperature)
    if labels.shape != u.shape[:-1]:
        raise ShapeError(f"labels {tuple(labels.shape)} for items {tuple(u.shape)}, must be {tuple(u.shape[:-1])}")
    if reduction not in REDUCTIONS:
        raise ConfigError(f"unknown reduction {reduction!r}", where="reduction", hint=nearest(reduction, REDUCTIONS))
    own = torch.eye(u.shape[-2], dtype=torch.bool, device=u.device)
    similarity = u @ u.transpose(-1, -2) / temperature
    # the lowest finite number, not -inf: a batch of one item has nothing else in its row
    log_share = similarity.masked_fill(own, torch.finfo(u.dtype).min).log_softmax(-1)
    positive = (labels.unsqueeze(-1) == labels.unsqueeze(-2)) & ~own
    positives = positive.sum(-1)
    each = -log_share.masked_fill(~positive, 0.0).sum(-1) / positives.clamp(min=1)
    total = each.sum(-1)
    return total if reduction == "sum" else total / (positives > 0).sum(-1).clamp(min=1)


def info_nce(a: Tensor, b: Tensor, *, temperature: float) -> Tensor:
    r"""Symmetric InfoNCE, DAVDD's loss within a sample: with s(i, j) the cosine of :math:`a_i` and :math:`b_j`, the
    average over both directions of :math:`-\frac1N \sum_i \log \mathrm{softmax}_j(s(i, j) / \tau)_i`.

    Args:
        a, b: (\*, N, D), row i of both from the same item; any length.

    Returns:
        (\*).
    """
    _check(a, temperature)
    if a.shape != b.shape:
        raise ShapeError(f"{tuple(a.shape)} items of one modality, {tuple(b.shape)} of the other; must be equal")
    similarity = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).transpose(-1, -2) / temperature
    forth, back = (similarity.log_softmax(dim).diagonal(dim1=-2, dim2=-1).mean(-1) for dim in (-1, -2))
    return -(forth + back) / 2


def _check(items: Tensor, temperature: float) -> None:
    if items.ndim < 2 or not len(items):
        raise ShapeError(f"items of shape {tuple(items.shape)}, must be (*, N, D)")
    if not temperature > 0:
        raise ConfigError(f"temperature is {temperature}", hint="It is above 0.")
