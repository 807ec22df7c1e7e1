r"""One network from several experts: MDM's merge, tensor by tensor (Model Stock's ratio for N experts).

With displacements :math:`D_k = \theta_k - \theta_0` of one tensor and c the mean of their N (N - 1) / 2 cosines,

.. math:: t = \frac{N c}{1 + (N - 1) c}, \qquad
    \theta^* = \theta_0 + \alpha t \left( \frac1N \sum_k \theta_k - \theta_0 \right),

which for two experts is t = 2 c / (1 + c). The cosines need inner products of displacements only. Where the anchor is
constant those of all snapshots can be had once (:func:`grams`), and a merge is one sum more (:func:`blend`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from limbeck.errors import ConfigError, ShapeError

__all__ = ["ALPHA", "blend", "grams", "merge", "ratios"]

Tensors: TypeAlias = "Mapping[str, Tensor]"

ALPHA = 0.5
"""Of MDM's published runs."""
EPS = 1e-12
"""What MDM's code adds to the product of two norms."""
POLE = 1e-6
"""A denominator of t that is not above it counts as zero [choice]: cosines of single-precision weights tell no more."""
BLOCK = 1 << 24
"""Numbers of one tensor, over all snapshots, that are held in double precision at once (134 MB)."""


def merge(
    anchor: Tensors, experts: Sequence[Tensors], *, alpha: float = ALPHA, clamp: bool = False
) -> dict[str, Tensor]:
    """The merged network, by tensor; nothing given is changed.

    A tensor that is not floating, or whose shape in an expert is another one, keeps the anchor's value.

    Args:
        anchor: theta_0 by name, of any shapes: the pretrained network, or a fresh head.
        experts: two or more, each of the names of ``anchor``.
        alpha: 0 leaves the anchor, 1 goes all the way.
        clamp: see :func:`ratios`.

    Raises:
        ShapeError: fewer than two experts, or other names. ConfigError: alpha outside [0, 1].
    """
    inner = grams(anchor, experts)
    every = torch.arange(len(experts))
    return blend(anchor, experts, {n: ratios(g, every, clamp=clamp) for n, g in inner.items()}, alpha=alpha)


def grams(anchor: Tensors, snapshots: Sequence[Tensors]) -> dict[str, Tensor]:
    """Inner products of the displacements of M snapshots, tensor by tensor: by name (M, M), double precision.

    Tensors that a merge does not move are left out. Stacked, (L, M, M), they go through :func:`ratios` all at once.

    Raises:
        ShapeError: fewer than two snapshots, or other names than the anchor's.
    """
    if len(snapshots) < 2:
        raise ShapeError(f"a merge of {len(snapshots)} experts, must be 2 or more")
    for k, weights in enumerate(snapshots):
        if set(weights) != set(anchor):
            differing = ", ".join(sorted(set(weights) ^ set(anchor)))
            raise ShapeError(f"expert {k} and the anchor are not the same network: {differing} is in one of them")
    return {name: _gram(anchor[name], [s[name] for s in snapshots]) for name in _moving(anchor, snapshots)}


def ratios(gram: Tensor, chosen: Tensor, *, clamp: bool = False) -> Tensor:
    r"""t of the merge of some snapshots: (\*, M, M), (N,) int64 -> (\*,), double precision.

    For c < 0 it is below 0: the merge moves away from the experts, and without bound as c nears -1 / (N - 1), where
    the directions of the displacements cancel. There the ratio has no value and is 0: the anchor is kept [choice]. A
    tensor of one number comes there often: its cosines are 1 or -1, so two experts on either side of the anchor are
    enough. An expert that did not move has cosine 0 with all others.

    Args:
        gram: of :func:`grams`.
        chosen: which snapshots, two or more.
        clamp: keep t within [0, 1], so that experts which disagree leave the anchor; the paper says it falls back to
            the anchor, neither its formula nor its script does.

    Raises:
        ShapeError: the products are not square, or fewer than two are chosen.
    """
    count = len(chosen)
    if gram.ndim < 2 or gram.shape[-1] != gram.shape[-2] or chosen.ndim != 1 or count < 2:
        raise ShapeError(f"{count} experts of inner products {tuple(gram.shape)}, must be 2 or more of (*, M, M)")
    chosen = chosen.to(gram.device)
    part = gram[..., chosen[:, None], chosen[None, :]].double()
    norms = part.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    cosines = part / (norms.unsqueeze(-1) * norms.unsqueeze(-2) + EPS)
    first, second = torch.triu_indices(count, count, offset=1, device=gram.device)
    c = cosines[..., first, second].clamp(-1, 1).mean(-1)
    below = 1 + (count - 1) * c
    t = torch.where(below > POLE, count * c / torch.where(below > POLE, below, 1.0), 0.0)
    return t.clamp(0, 1) if clamp else t


def blend(
    anchor: Tensors, experts: Sequence[Tensors], ratio: Mapping[str, Tensor], *, alpha: float = ALPHA
) -> dict[str, Tensor]:
    """theta* by tensor from known ratios, in the anchor's types; tensors without a ratio keep the anchor's value.

    Args:
        ratio: by name, scalars; no value is read back from the device.

    Raises:
        ConfigError: alpha outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha is {alpha}", hint="It is between 0 (the anchor) and 1.")
    merged = {name: value.clone() for name, value in anchor.items()}
    for name, t in ratio.items():
        mean = torch.stack([e[name].to(anchor[name]) for e in experts]).mean(0)
        step = (alpha * t).to(anchor[name])
        merged[name] = anchor[name] + step * (mean - anchor[name])
    return merged


def _moving(anchor: Tensors, experts: Sequence[Tensors]) -> list[str]:
    return [
        name
        for name, value in anchor.items()
        if value.is_floating_point() and all(e[name].shape == value.shape for e in experts)
    ]


def _gram(anchor: Tensor, values: Sequence[Tensor]) -> Tensor:
    """A block of the tensor's numbers at a time, the same blocks for every pair."""
    flat, rows = anchor.reshape(-1), [v.reshape(-1) for v in values]
    found = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=anchor.device)
    size = max(1, BLOCK // len(rows))
    for start in range(0, len(flat), size):
        part = slice(start, start + size)
        ways = torch.stack([r[part].to(flat.device, torch.float64) for r in rows]) - flat[part].double()
        found += ways @ ways.T
    return found
