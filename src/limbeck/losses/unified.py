r"""ImageBindDC's three terms in one embedding space: uni-modal, cross-modal and joint-modal, in every reading.

Legend: e_a, e_v rows of two modalities, ~ the synthetic ones, E class means; :math:`\odot` elementwise product, ;
concatenation; g a discrepancy between two sets of rows (``characteristic.CFD``, ``kernel.MMD``). Everything is by class
and summed over the K classes. The paper has two modalities; more are taken pair by pair, and no term hangs on their
order.

The paper's equations 8 to 13 leave open how n real rows meet m synthetic ones, so there is more than one reading:

| reading | cross-modal | joint-modal |
|---|---|---|
| ``paper`` | :func:`cross_of_means` | :func:`joint_of_means` |
| ``as_released`` | :func:`cross_all_pairs` | :func:`joint_as_released` |
| ``all_pairs_cosine`` | :func:`cross_all_pairs_cosine` | |
| ``distribution`` | :func:`cross_distribution` | :func:`joint_distribution` |
| ``hybrid_means`` | :func:`cross_sums` | :func:`joint_hybrid_means` |

Rows come as the encoder gives them. The first three cross-modal readings and ``paper``'s joint one bring them to unit
length themselves, ``joint_as_released`` takes them as they are, and so does whatever goes through g: give it
``Grouped.unit()`` where unit rows are meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from limbeck.errors import ConfigError, ShapeError, nearest
from limbeck.losses.grouped import Counts, Discrepancy, Grouped, class_means, unit

__all__ = ["CROSS", "JOINT", "CrossReading", "JointReading", "cross_modal", "joint_modal", "uni_modal"]

CrossReading = Literal["paper", "as_released", "all_pairs_cosine", "distribution", "hybrid_means"]
JointReading = Literal["paper", "as_released", "distribution", "hybrid_means"]
CROSS: tuple[CrossReading, ...] = ("paper", "as_released", "all_pairs_cosine", "distribution", "hybrid_means")
JOINT: tuple[JointReading, ...] = ("paper", "as_released", "distribution", "hybrid_means")
DiscrepancyOf: TypeAlias = Callable[[int], Discrepancy]
"""The discrepancy for rows of a width: frequencies have one."""
Generators: TypeAlias = Sequence[torch.Generator]
Sides: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""e_a, e_v (N, D) and ~e_a, ~e_v (M, D)."""


def uni_modal(real: Grouped, synthetic: Grouped, discrepancy_of: DiscrepancyOf) -> Tensor:
    r""":math:`\sum_m g(e_m, \tilde e_m)` (ImageBindDC, eq. 5-7). Raises ShapeError where the two do not match."""
    _check(real, synthetic, fewest=1)
    terms = [
        discrepancy_of(rows.shape[1])(rows, real.counts, synthetic.rows[name], synthetic.counts)
        for name, rows in real.rows.items()
    ]
    return torch.stack(terms).sum()


def cross_modal(
    real: Grouped,
    synthetic: Grouped,
    reading: CrossReading,
    discrepancy_of: DiscrepancyOf,
    generators: Generators,
) -> Tensor:
    """The cross-modal term (ImageBindDC, eq. 8-11) in one of the readings ``CROSS``, a scalar.

    Args:
        generators: of the CPU, one a class, of the pairing in ``distribution``; the others draw nothing.

    Raises:
        ConfigError: unknown reading. ShapeError: fewer than two modalities, other widths, or sides that do not match.
    """
    if reading not in CROSS:
        raise ConfigError(f"unknown reading {reading!r}", where="cross", hint=nearest(reading, CROSS))
    x, y, terms = real.counts, synthetic.counts, []
    for sides in _pairs(real, synthetic):
        if reading == "paper":
            terms.append(cross_of_means(sides, x, y))
        elif reading == "as_released":
            terms.append(cross_all_pairs(sides, x, y))
        elif reading == "all_pairs_cosine":
            terms.append(cross_all_pairs_cosine(sides, x, y))
        elif reading == "distribution":
            terms.append(cross_distribution(sides, x, y, discrepancy_of(sides[0].shape[1]), generators))
        else:
            terms.append(cross_sums(sides, x, y, discrepancy_of(sides[0].shape[1])))
    return torch.stack(terms).sum()


def joint_modal(real: Grouped, synthetic: Grouped, reading: JointReading, discrepancy_of: DiscrepancyOf) -> Tensor:
    """The joint-modal term (ImageBindDC, eq. 12-13) in one of the readings ``JOINT``, a scalar.

    Args:
        discrepancy_of: also asked for twice the rows' width, by ``distribution``.

    Raises:
        ConfigError: unknown reading. ShapeError: fewer than two modalities, other widths, or sides that do not match.
    """
    if reading not in JOINT:
        raise ConfigError(f"unknown reading {reading!r}", where="joint", hint=nearest(reading, JOINT))
    x, y, terms = real.counts, synthetic.counts, []
    for sides in _pairs(real, synthetic):
        if reading == "paper":
            terms.append(joint_of_means(sides, x, y))
        elif reading == "as_released":
            terms.append(joint_as_released(sides, x, y))
        elif reading == "distribution":
            terms.append(joint_distribution(sides, x, y, discrepancy_of(2 * sides[0].shape[1])))
        else:
            terms.append(joint_hybrid_means(sides, x, y, discrepancy_of(sides[0].shape[1])))
    return torch.stack(terms).sum()


def cross_of_means(sides: Sides, x: Counts, y: Counts) -> Tensor:
    r""":math:`1 - \cos(\bar h, \bar{\tilde h})` with :math:`h = e_a \odot e_v` of unit rows: eq. 8-11, the way of n
    rows with m left open there [choice]. 0 at equal sets."""
    h, synthetic = _products(sides)
    return _apart(unit(class_means(h, x)), unit(class_means(synthetic, y)))


def cross_all_pairs(sides: Sides, x: Counts, y: Counts) -> Tensor:
    r""":math:`\frac{1}{nm} \sum_{ij} (1 - h_i \tilde h_j) = 1 - \bar h \bar{\tilde h}`, h of unit rows and not brought
    to unit length itself: what seems to be the authors' code has it. Near 1 for wide rows, with small gradients."""
    h, synthetic = _products(sides)
    return _apart(class_means(h, x), class_means(synthetic, y))


def cross_all_pairs_cosine(sides: Sides, x: Counts, y: Counts) -> Tensor:
    r""":math:`\frac{1}{nm} \sum_{ij} (1 - \cos(h_i, \tilde h_j))`, the paper by the letter. Equal sets are not its
    minimum: a synthetic set that has collapsed to one direction lies lower."""
    h, synthetic = _products(sides)
    return _apart(class_means(unit(h), x), class_means(unit(synthetic), y))


def cross_distribution(sides: Sides, x: Counts, y: Counts, discrepancy: Discrepancy, generators: Generators) -> Tensor:
    r""":math:`g(e_a + \tilde e_v, e_v + \tilde e_a)` on hybrid pairs (:func:`hybrid_pairs`), the same for both sums;
    as the abstract and figure 2 of the paper have it."""
    (i, j), counts = hybrid_pairs(x, y, generators)
    i, j = i.to(sides[0].device), j.to(sides[0].device)
    a, v, a_synthetic, v_synthetic = sides
    return discrepancy(a[i] + v_synthetic[j], counts, v[i] + a_synthetic[j], counts)


def cross_sums(sides: Sides, x: Counts, y: Counts, discrepancy: Discrepancy) -> Tensor:
    r""":math:`g(e_a + e_v, \tilde e_a + \tilde e_v)`, of one script of what seems to be the authors' code."""
    a, v, a_synthetic, v_synthetic = sides
    return discrepancy(a + v, x, a_synthetic + v_synthetic, y)


def joint_of_means(sides: Sides, x: Counts, y: Counts) -> Tensor:
    r""":math:`1 - \cos(E_a \odot \tilde E_v, E_v \odot \tilde E_a)`, E of unit rows: eq. 12-13, well-defined [choice].
    0 at equal sets."""
    a, v, a_synthetic, v_synthetic = _class_means([unit(rows) for rows in sides], x, y)
    return _apart(unit(a * v_synthetic), unit(v * a_synthetic))


def joint_as_released(sides: Sides, x: Counts, y: Counts) -> Tensor:
    r""":math:`1 - (E_a \odot \tilde E_v) \cdot (E_v \odot \tilde E_a)`, E plain means: eq. 12-13 by the letter. It is
    :math:`1 - (E_a \odot E_v) \cdot (\tilde E_a \odot \tilde E_v)`, too, and nothing bounds it below: it grows the
    synthetic means."""
    a, v, a_synthetic, v_synthetic = _class_means(sides, x, y)
    return _apart(a * v_synthetic, v * a_synthetic)


def joint_distribution(sides: Sides, x: Counts, y: Counts, discrepancy: Discrepancy) -> Tensor:
    r""":math:`g([e_a; e_v], [\tilde e_a; \tilde e_v])`, rows of width 2 D: how the two modalities of an item go
    together."""
    a, v, a_synthetic, v_synthetic = sides
    return discrepancy(torch.cat([a, v], 1), x, torch.cat([a_synthetic, v_synthetic], 1), y)


def joint_hybrid_means(sides: Sides, x: Counts, y: Counts, discrepancy: Discrepancy) -> Tensor:
    r""":math:`g(E_a + \tilde E_v, E_v + \tilde E_a)`, sets of one row a class; of the script of :func:`cross_sums`."""
    a, v, a_synthetic, v_synthetic = _class_means(sides, x, y)
    ones = (1,) * len(x)
    return discrepancy(a + v_synthetic, ones, v + a_synthetic, ones)


def hybrid_pairs(x: Counts, y: Counts, generators: Generators) -> tuple[tuple[Tensor, Tensor], Counts]:
    """Rows of the real and of the synthetic side that make up hybrid pairs: random within each class, max(n_k, m_k)
    pairs.

    The larger side's rows are in one pair each, the smaller side's in as many pairs, give or take one. Every real row
    is as likely to meet every synthetic one, so that means over the pairs (characteristic functions, too) have for
    expectation those over all n x m [choice].

    Args:
        generators: one a class, so that its pairs do not hang on the classes beside it.

    Returns:
        (i, j) int64 of length P on the CPU, rows of each side; and how many pairs are of each class.
    """
    chosen: tuple[list[Tensor], list[Tensor]] = ([], [])
    counts = tuple(max(n, m) for n, m in zip(x, y, strict=True))
    for side, sizes in zip(chosen, (x, y), strict=True):
        start = 0
        for n, pairs, generator in zip(sizes, counts, generators, strict=True):
            rounds = [torch.randperm(n, generator=generator) for _ in range(-(-pairs // n))]
            side.append(start + torch.cat(rounds)[:pairs])
            start += n
    return (torch.cat(chosen[0]), torch.cat(chosen[1])), counts


def _pairs(real: Grouped, synthetic: Grouped) -> Iterator[Sides]:
    """In the order of names, so that draws do not hang on the order of modalities."""
    _check(real, synthetic, fewest=2)
    for a, v in combinations(sorted(real.rows), 2):
        if real.rows[a].shape[1] != real.rows[v].shape[1]:
            raise ShapeError(
                f"{a} has width {real.rows[a].shape[1]}, {v} has {real.rows[v].shape[1]}",
                hint="These terms take modalities in one space: use an encoder that gives all the same width.",
            )
        yield real.rows[a], real.rows[v], synthetic.rows[a], synthetic.rows[v]


def _check(real: Grouped, synthetic: Grouped, fewest: int) -> None:
    if set(real.rows) != set(synthetic.rows) or len(real.counts) != len(synthetic.counts):
        raise ShapeError(
            f"real rows of {sorted(real.rows)} in {len(real.counts)} classes, synthetic rows of "
            f"{sorted(synthetic.rows)} in {len(synthetic.counts)}"
        )
    for name, rows in real.rows.items():
        if rows.shape[1] != synthetic.rows[name].shape[1]:
            raise ShapeError(f"{name}: real rows {tuple(rows.shape)}, synthetic {tuple(synthetic.rows[name].shape)}")
    if len(real.rows) < fewest:
        raise ShapeError(f"only {', '.join(real.rows)}: a term between modalities needs {fewest} or more")


def _products(sides: Sides) -> tuple[Tensor, Tensor]:
    a, v, a_synthetic, v_synthetic = (unit(rows) for rows in sides)
    return a * v, a_synthetic * v_synthetic


def _class_means(sides: Sides | list[Tensor], x: Counts, y: Counts) -> list[Tensor]:
    return [class_means(rows, counts) for rows, counts in zip(sides, (x, x, y, y), strict=True)]


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """1 - inner product, summed over classes: (K, D), (K, D) -> a scalar."""
    return (1 - (a * b).sum(1)).sum()
