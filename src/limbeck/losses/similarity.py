r"""Contrast against a matrix of similarities instead of the identity: LoRS's weighted cross entropy and its extension
of InfoNCE.

Legend: N pairs, D width, tau temperature; :math:`s_{ij}` how alike item i of the first modality and item j of the
second are held to be, not confined to [0, 1]; :math:`c_{ij}` the cosine of their embeddings. LoRS is low-rank
similarity mining; its matrix is in ``limbeck.synthetic.similarity``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ConfigError, ShapeError

__all__ = ["EPS", "soft_info_nce", "weighted_bce"]

EPS = 1e-6
"""What LoRS's code adds to probabilities and to counts."""
POSITIVE = 0.5
"""Similarities above it count as positives."""


def weighted_bce(a: Tensor, b: Tensor, similarity: Tensor, *, temperature: float) -> Tensor:
    r"""LoRS's wBCE: binary cross entropy of every pair of items, positives and negatives each averaged on their own.

    .. math:: p = \mathrm{sigmoid}(c / \tau), \quad
        l_{ij} = -s_{ij} \log(p_{ij} + \epsilon) - (1 - s_{ij}) \log(1 - p_{ij} + \epsilon)

    .. math:: L = \frac12 \left( \frac{\sum_P l}{|P| + \epsilon} + \frac{\sum_{\bar P} l}{|\bar P| + \epsilon} \right),
        \quad P = \{s_{ij} > 0.5\}, \quad \epsilon = 10^{-6}.

    Which pairs are positives passes no gradient; :math:`s_{ij}` itself does. A kind that has no pair adds nothing.

    Args:
        a, b: (N, D), row i of both from the same pair; any length.
        similarity: (N, N), rows by ``a``, columns by ``b``.

    Returns:
        a scalar, differentiable twice.

    Raises:
        ShapeError: the parts do not fit. ConfigError: a temperature that is not above 0.
    """
    logits = _logits(a, b, similarity, temperature)
    # 1 - p through the sigmoid of -x: p itself has no digits left where it nears 1
    each = -similarity * (logits.sigmoid() + EPS).log() - (1 - similarity) * ((-logits).sigmoid() + EPS).log()
    positive = similarity.detach() > POSITIVE
    kinds = [torch.where(kind, each, 0.0).sum() / (kind.sum().to(each.dtype) + EPS) for kind in (positive, ~positive)]
    return (kinds[0] + kinds[1]) / 2


def soft_info_nce(a: Tensor, b: Tensor, similarity: Tensor, *, temperature: float) -> Tensor:
    r"""LoRS's eNCE: InfoNCE whose targets are similarities,

    .. math:: -\frac{1}{2N} \sum_{ij} s_{ij} \left( \log \mathrm{softmax}_j(c_{ij} / \tau)
        + \log \mathrm{softmax}_i(c_{ij} / \tau) \right),

    which for the identity is :func:`~limbeck.losses.contrastive.info_nce`; the factor is [choice], so that it is.
    Rows of the similarity are not brought to a sum of 1.

    Args, returns and errors as of :func:`weighted_bce`.
    """
    logits = _logits(a, b, similarity, temperature)
    both: Tensor = logits.log_softmax(1) + logits.log_softmax(0)
    return -(similarity * both).sum() / (2 * len(a))


def _logits(a: Tensor, b: Tensor, similarity: Tensor, temperature: float) -> Tensor:
    if a.ndim != 2 or a.shape != b.shape or not len(a):
        raise ShapeError(f"{tuple(a.shape)} items of one modality, {tuple(b.shape)} of the other, both must be (N, D)")
    if similarity.shape != (len(a), len(a)):
        raise ShapeError(f"similarities {tuple(similarity.shape)} of {len(a)} pairs, must be {(len(a), len(a))}")
    if not temperature > 0:
        raise ConfigError(f"temperature is {temperature}", hint="It is above 0.")
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / temperature
