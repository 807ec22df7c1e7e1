"""Matching the means of embeddings: DM's loss, and the two cross-modal ones of AVDD.

Legend: K classes, D embedding width; R real, S synthetic, bars are means over the items of a class; d = mean(R) -
mean(S). Every function takes one (K, D) tensor of class means a modality and returns a scalar: squares summed over D
(not averaged: the published rates mean something only so) and over classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations
from typing import TYPE_CHECKING, TypeAlias

from limbeck.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cgm", "distribution_matching", "icm", "rscmm", "scmm"]

Means: TypeAlias = "Mapping[str, Tensor]"


def distribution_matching(real: Means, synthetic: Means) -> Tensor:
    r"""DM: :math:`\sum_m |d_m|^2` (Zhao and Bilen, "Dataset Condensation with Distribution Matching", eq. 4, one
    encoder a modality)."""
    return _sum([d.square().sum() for d in _differences(real, synthetic).values()])


def icm(real: Means, synthetic: Means) -> Tensor:
    r"""Implicit cross-modal matching: :math:`\sum_{m<n} |d_m + d_n|^2` (AVDD, :math:`L_{ICM}`).

    The paper has two modalities, :math:`|(\bar R_a + \bar R_v) - (\bar S_a + \bar S_v)|^2`; more are matched pair by
    pair.
    """
    return _sum([(a + b).square().sum() for a, b in combinations(_differences(real, synthetic).values(), 2)])


def cgm(real: Means, synthetic: Means) -> Tensor:
    r"""Cross-modal gap matching: :math:`\sum_{m<n} |d_m - d_n|^2` (AVDD, :math:`L_{CGM}`).

    The paper writes :math:`|(\bar R_a + \bar S_v) - (\bar R_v + \bar S_a)|^2`, the same number. By the parallelogram
    law
    ICM + CGM = 2 DM for two modalities, so equal weights only lengthen the step.
    """
    return _sum([(a - b).square().sum() for a, b in combinations(_differences(real, synthetic).values(), 2)])


def scmm(real: Means, synthetic: Means) -> Tensor:
    r"""Synthetic cross-modal matching: :math:`\sum_{m<n} |\bar S_m - \bar S_n|^2` (AVDD, table 7: it hurts)."""
    _differences(real, synthetic)
    return _sum([(a - b).square().sum() for a, b in combinations(synthetic.values(), 2)])


def rscmm(real: Means, synthetic: Means) -> Tensor:
    r"""Real-synthetic cross-modal matching: :math:`\sum_{m \neq n} |\bar R_m - \bar S_n|^2` (AVDD, table 7: it
    hurts)."""
    _differences(real, synthetic)
    return _sum([(real[m] - synthetic[n]).square().sum() for m, n in permutations(synthetic, 2)])


def _differences(real: Means, synthetic: Means) -> dict[str, Tensor]:
    if set(real) != set(synthetic):
        raise ShapeError(f"real means of {sorted(real)}, synthetic means of {sorted(synthetic)}")
    differences = {}
    for name, mean in synthetic.items():
        if mean.shape != real[name].shape or mean.ndim != 2:
            raise ShapeError(
                f"{name}: real means {tuple(real[name].shape)}, synthetic {tuple(mean.shape)}, both must be (K, D)"
            )
        differences[name] = real[name] - mean
    return differences


def _sum(terms: list[Tensor]) -> Tensor:
    if not terms:
        raise ShapeError("a cross-modal loss needs two modalities or more")
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
