r"""Maximum mean discrepancy of a Gaussian kernel, class by class: what ImageBindDC sets its CFD against.

Legend: K classes; X real, n rows a class; Y synthetic, m rows; D width; sigma a bandwidth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.errors import ConfigError, NumericsError, ShapeError
from limbeck.losses.grouped import Counts, check_counts

__all__ = ["gaussian", "median_distance", "mmd"]

CHUNK = 1024
"""Rows whose kernel with all others is held at once, where nothing takes a gradient."""
MEDIAN_OF = 1000
"""Rows at most that the median rule looks at, evenly spread over a class [choice]."""


def mmd(
    x: Tensor,
    x_counts: Counts,
    y: Tensor,
    y_counts: Counts,
    bandwidths: float | Sequence[float] | None = None,
) -> Tensor:
    r"""Squared MMD, biased, summed over classes:

    .. math:: \sum_k \operatorname{mean}_{ii'} k(x_i, x_{i'}) + \operatorname{mean}_{jj'} k(y_j, y_{j'})
        - 2 \operatorname{mean}_{ij} k(x_i, y_j), \quad k(a, b) = \sum_\sigma \exp(-|a - b|^2 / 2 \sigma^2).

    With one bandwidth it is what ``characteristic.squared`` is on average over frequencies N(0, 1 / sigma^2). The paper
    does not print its kernel [choice: this one].

    Args:
        x: (N, D) real rows with their counts. y: (M, D) synthetic rows with theirs, of as many classes.
        bandwidths: sigma, one or more whose kernels are added; 1 goes with frequencies N(0, 1). None for the
            median rule, each class's :func:`median_distance` of real rows.

    Returns:
        a scalar of the type of ``y``.

    Raises:
        ShapeError: they do not fit together. ConfigError: bandwidths. NumericsError: see :func:`median_distance`.
    """
    check_counts(x, x_counts, "real rows")
    check_counts(y, y_counts, "synthetic rows")
    if len(x_counts) != len(y_counts) or x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"real rows {tuple(x.shape)} in {len(x_counts)} classes, synthetic {tuple(y.shape)} in {len(y_counts)}"
        )
    given = None if bandwidths is None else _several(bandwidths)
    terms = []
    for a, b in zip(x.split(x_counts), y.split(y_counts), strict=True):
        sigmas = given or [median_distance(a)]
        terms.append(_mean(a, a, sigmas) + _mean(b, b, sigmas) - 2 * _mean(a, b, sigmas))
    return torch.stack(terms).sum().to(y.dtype)


def median_distance(rows: Tensor) -> float:
    """The median of the distances between different rows of (N, D), of an even number the lower one: the bandwidth of
    the median rule.

    Raises:
        NumericsError: it is 0 or not finite, or there is one row only.
    """
    some = rows.detach()[:: -(-len(rows) // MEDIAN_OF)]
    found = float(torch.nn.functional.pdist(some).median()) if len(some) > 1 else 0.0
    if not 0 < found < math.inf:
        raise NumericsError(
            f"the median distance between {len(rows)} real rows of a class is {found}",
            hint="Give the bandwidth.",
        )
    return found


def gaussian(a: Tensor, b: Tensor, bandwidths: Sequence[float]) -> Tensor:
    r"""k of every row of ``a`` with every one of ``b``: (N, D), (M, D) -> (N, M) float64.

    Through products in double precision: three means that nearly cancel are about to be added.
    """
    a, b = a.double(), b.double()
    square = (a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * (a @ b.T)).clamp(min=0)
    return torch.stack([(-square / (2 * sigma**2)).exp() for sigma in bandwidths]).sum(0)


def _mean(a: Tensor, b: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Of the kernel over all pairs of rows, in parts, so that a large real class needs no (N, N)."""
    return torch.stack([gaussian(part, b, sigmas).sum() for part in a.split(CHUNK)]).sum() / (len(a) * len(b))


def _several(bandwidths: float | Sequence[float]) -> list[float]:
    found = [bandwidths] if isinstance(bandwidths, int | float) else list(bandwidths)
    if not found or not all(0 < sigma < math.inf for sigma in found):
        raise ConfigError(f"bandwidths {found}", hint="One or more, each above 0.")
    return found
