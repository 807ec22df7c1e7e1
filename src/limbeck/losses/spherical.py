r"""Matching clouds of points on the unit sphere: MDM's agreement, discrepancy and kernel distance.

Legend: z^v, z^t are the unit embeddings of an item in two modalities; u and g point along their sum and difference;
phi is an angle; sigma the bandwidth. As MDM's paper prints them; what its published script does otherwise is named so.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.errors import ConfigError, NumericsError, ShapeError, nearest
from limbeck.losses.grouped import unit

__all__ = ["KERNELS", "Kernel", "agreement", "angles", "discrepancy", "kernel_distance", "kernel_matrix"]

Kernel = Literal["geodesic", "cosine", "chordal", "laplacian"]
SAME = 1e-14
"""Squared distances of single-precision unit vectors that are not above it count as 0: these are of unit length to 1e-7
only."""
KERNELS: tuple[Kernel, ...] = ("geodesic", "cosine", "chordal", "laplacian")


def agreement(a: Tensor, b: Tensor) -> Tensor:
    r"""What the two embeddings of each item share, :math:`u = (z^v + z^t) / |z^v + z^t|`: (N, D), (N, D) -> (N, D).

    Where they are opposite there is no direction: u is zero there and passes no gradient [choice]. For unit vectors u
    is orthogonal to :func:`discrepancy`. Raises ShapeError where the two do not pair up.
    """
    _check_pairs(a, b)
    return unit(a + b)


def discrepancy(a: Tensor, b: Tensor) -> Tensor:
    r"""What sets the two embeddings of each item apart, :math:`g = (z^v - z^t) / |z^v - z^t|`: (N, D), (N, D) ->
    (N, D); zero, without gradient, where they are equal [choice]. Raises ShapeError where the two do not pair up."""
    _check_pairs(a, b)
    return unit(a - b)


def angles(a: Tensor, b: Tensor) -> Tensor:
    r"""Geodesic distance of every unit vector of ``a`` to every one of ``b``: (N, D), (M, D) -> (N, M), radians.

    :math:`\phi = 2\,\mathrm{atan2}(|a - b|, |a + b|)`, which is arccos of their product without its loss of digits near
    0 and pi: equal vectors are at exactly 0. The gradient is finite everywhere; it is 0 at equal and at opposite
    vectors, where the angle itself has none.
    """
    return 2 * torch.atan2(_distances(a, b), _distances(a, -b))


def kernel_matrix(a: Tensor, b: Tensor, *, kernel: Kernel = "geodesic", bandwidth: float = 0.5) -> Tensor:
    r"""k of every unit vector of ``a`` with every one of ``b``: (N, D), (M, D) -> (N, M), 1 for equal vectors.

    ================  =====================================================  =========================================
    geodesic          :math:`\exp(-\phi^2 / 2\sigma^2)`                      MDM as printed
    cosine            :math:`\exp(-(1 - \cos\phi)^2 / 2\sigma^2)`            what its published script computes
    chordal           :math:`\exp(-|a - b|_2^2 / 2\sigma^2)`                 its ablation; the form is [choice]
    laplacian         :math:`\exp(-|a - b|_1 / \sigma)`                      its ablation; the form is [choice]
    ================  =====================================================  =========================================

    The geodesic one is not positive definite on a whole sphere, as MDM says.

    Raises:
        ShapeError: widths differ, or no vector. ConfigError: unknown kernel, or a bandwidth that is not above 0.
    """
    if kernel not in KERNELS:
        raise ConfigError(f"unknown kernel {kernel!r}", where="kernel", hint=nearest(kernel, KERNELS))
    if not 0 < bandwidth < math.inf:
        raise ConfigError(f"bandwidth is {bandwidth}", hint="It is above 0.")
    if kernel == "laplacian":
        return (-_distances(a, b, p=1.0) / bandwidth).exp()
    if kernel == "geodesic":
        way = angles(a, b)
    elif kernel == "chordal":
        way = _distances(a, b)
    else:
        way = _distances(a, b).square() / 2  # 1 - cos of unit vectors, exact near equal ones
    return (-way.square() / (2 * bandwidth**2)).exp()


def kernel_distance(
    a: Tensor, b: Tensor, *, kernel: Kernel = "geodesic", bandwidth: float = 0.5, biased: bool = True
) -> Tensor:
    r"""MDM's GKE, the square root of a kernel's maximum mean discrepancy between two clouds of unit vectors:

    .. math:: \mathrm{GKE}(A, B)^2 = \operatorname{mean}_{i i'} k(a_i, a_{i'}) + \operatorname{mean}_{j j'}
        k(b_j, b_{j'}) - 2 \operatorname{mean}_{i j} k(a_i, b_j).

    Exactly 0 for equal clouds, with gradient 0. Where rounding, or a kernel that is not positive definite, takes the
    square below 0, it counts as 0.

    Args:
        a: (N, D), of unit length. b: (M, D).
        biased: with the diagonals in the first two means, as printed. Without them, as in the published script: an
            unbiased square, which is below 0 about half of the time near equality; value 1e-6 and no gradient there.

    Returns:
        a scalar of the type of ``a``.

    Raises:
        ShapeError: widths differ, or too few vectors (1; 2 where unbiased). ConfigError: as :func:`kernel_matrix`.
        NumericsError: a value is not finite.
    """
    if not biased and min(len(a), len(b)) < 2:
        raise ShapeError(f"clouds of {len(a)} and {len(b)} vectors: the unbiased form needs 2 of each")
    within = [_mean(kernel_matrix(x, x, kernel=kernel, bandwidth=bandwidth), diagonal=biased) for x in (a, b)]
    between = _mean(kernel_matrix(a, b, kernel=kernel, bandwidth=bandwidth), diagonal=True)
    square = within[0] + within[1] - 2 * between
    if not bool(square.isfinite()):
        raise NumericsError("the embeddings of a kernel distance are not finite", hint="Lower the rates.")
    root = _root(square) if biased else (square.clamp(min=0) + 1e-12).sqrt()
    return root.to(a.dtype)


def _mean(matrix: Tensor, *, diagonal: bool) -> Tensor:
    """In double precision: three means that nearly cancel are about to be added."""
    if diagonal:
        return matrix.mean(dtype=torch.float64)
    n = len(matrix)
    total: Tensor = matrix.sum(dtype=torch.float64) - matrix.diagonal().sum(dtype=torch.float64)
    return total / (n * (n - 1))


def _root(x: Tensor) -> Tensor:
    """Square root; 0 with gradient 0 from 0 downwards, where the derivative is infinite or there is none."""
    above = x > 0
    return torch.where(above, torch.where(above, x, 1.0).sqrt(), 0.0)


def _distances(a: Tensor, b: Tensor, p: float = 2.0) -> Tensor:
    """Equal vectors are at exactly 0, where the gradient is 0. Single precision goes through products in double, which
    has the digits that cancel and is 10 x faster; double through differences."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ShapeError(f"vectors {tuple(a.shape)} and {tuple(b.shape)}, must be (N, D) and (M, D)")
    if p == 2.0 and a.dtype == b.dtype == torch.float32:
        x, y = a.double(), b.double()
        square = x.square().sum(1, keepdim=True) + y.square().sum(1) - 2 * (x @ y.T)
        apart = (square > SAME) | square.isnan()
        return torch.where(apart, torch.where(apart, square, 1.0).sqrt(), 0.0).float()
    found: Tensor = torch.cdist(a, b, p=p, compute_mode="donot_use_mm_for_euclid_dist")
    return found


def _check_pairs(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(
            f"{tuple(a.shape)} vectors of one modality, {tuple(b.shape)} of the other, both must be (N, D)"
        )
