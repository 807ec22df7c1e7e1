r"""The characteristic function discrepancy between two sets of embeddings: CFD, of NCFM and ImageBindDC.

Legend: K classes; X real, N rows; Y synthetic, M rows; D width; T the F frequencies, (F, D). The empirical
characteristic function of a class is :math:`\Phi_X(t) = \frac1n \sum_i e^{i t x_i} = C_X(t) + i S_X(t)`, C the means
of cosines and S of sines. Discrepancies are means over frequencies, summed over classes.

Frequencies are drawn N(0, 1), so that :math:`t x` of a unit row is N(0, 1), too. Rows that are much longer (encoders
give norms of 20 or 40) have cosines that are noise: bring them to unit length or lower the frequencies' ``scale``.
NCFM's code has the root form times 300, and the published weights of ImageBindDC's other terms were chosen beside that.

The squared form is a sample of something known: its expectation over frequencies N(0, s^2) is :func:`.kernel.mmd` with
bandwidth 1 / s (Bochner's theorem).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.grouped import Counts, check_counts

__all__ = ["Phi", "amplitude_phase", "characteristic", "draw_frequencies", "root", "squared"]

Phi: TypeAlias = tuple[Tensor, Tensor]
"""C and S, real and imaginary part of K characteristic functions at F frequencies, both (K, F)."""
EPS = 1e-12
"""Least phase part under the root, as in NCFM's code."""
CHUNK = 512
"""Rows that are projected at a time: nearly as fast as all at once, and what bounds the memory."""


def draw_frequencies(
    count: int, width: int, generator: torch.Generator, *, scale: float = 1.0, device: str | torch.device = "cpu"
) -> Tensor:
    """Frequencies (F, D), every entry N(0, scale^2): ``count`` F, 4096 in NCFM; ``width`` D.

    Args:
        generator: of the CPU; the numbers are the same on every device.

    Raises:
        ConfigError: a number that is not above 0.
    """
    if count < 1 or width < 1 or not 0 < scale < float("inf"):
        raise ConfigError(f"{count} frequencies of width {width}, scale {scale}", hint="All are above 0.")
    return (torch.randn(count, width, generator=generator) * scale).to(device)


def characteristic(rows: Tensor, counts: Counts, frequencies: Tensor, *, chunk: int = CHUNK) -> Phi:
    r"""C and S of every class: :math:`\frac{1}{n_k} \sum_i \cos(t x_i)` and the same of sines, both (K, F).

    Each projection is made once, for both. Where nothing takes a gradient, no more than ``chunk`` x F numbers are held
    however many rows there are; else the cosines and sines of all N rows are kept for the way back, 2 N F. It can be
    differentiated once.

    Args:
        rows: (N, D), class after class. counts: n_k.
        frequencies: (F, D); they get a gradient where they ask for one.

    Raises:
        ShapeError: rows do not fit the counts or the frequencies.
    """
    check_counts(rows, counts)
    if frequencies.ndim != 2 or frequencies.shape[1] != rows.shape[1] or not len(frequencies):
        raise ShapeError(
            f"frequencies {tuple(frequencies.shape)} for rows {tuple(rows.shape)}, must be (F, D) with the rows' D"
        )
    n = torch.tensor(counts)
    own = torch.arange(len(counts)).repeat_interleave(n)
    phi = rows.new_zeros(2, len(counts), len(frequencies))
    for start in range(0, len(rows), chunk):
        inside = own[start : start + chunk]
        classes = inside.unique()
        weights = (inside == classes[:, None]).to(rows) / n[classes, None].to(rows)
        found: Tensor = _Means.apply(rows[start : start + chunk], weights, frequencies)  # type: ignore[no-untyped-call]
        phi = phi.index_add(1, classes.to(rows.device), found)
    return phi[0], phi[1]


def squared(x: Tensor, x_counts: Counts, y: Tensor, y_counts: Counts, frequencies: Tensor) -> Tensor:
    r"""CFD as printed, :math:`\sum_k \frac1F \sum_t |\Phi_X(t) - \Phi_Y(t)|^2` (ImageBindDC, eq. 3), from 0 to 4 a
    class.

    Args:
        x: (N, D) real rows with their counts. y: (M, D) synthetic rows with theirs, of as many classes.
        frequencies: (F, D).

    Returns:
        a scalar.

    Raises:
        ShapeError: they do not fit together.
    """
    return _gap(_both(x, x_counts, y, y_counts, frequencies)).mean(1).sum()


def root(
    x: Tensor,
    x_counts: Counts,
    y: Tensor,
    y_counts: Counts,
    frequencies: Tensor,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    eps: float = EPS,
) -> Tensor:
    r"""CFD as NCFM's code has it, :math:`\sum_k \frac1F \sum_t \sqrt{\alpha\,\mathrm{amp}(t) +
    \beta \max(\mathrm{pha}(t), \epsilon)}` of :func:`amplitude_phase`.

    With alpha = beta = 1/2 it is the mean of :math:`|\Phi_X - \Phi_Y| / \sqrt2`, to eps. At equal sets it is
    :math:`\sqrt{\beta \epsilon}` a class with gradient 0; the gradient is bounded beside it, but does not shrink.

    Args:
        as of :func:`squared`; alpha and beta, 0 or more, weigh the two parts.

    Raises:
        ShapeError: as :func:`squared`. ConfigError: weights below 0, or both 0.
    """
    if min(alpha, beta) < 0 or alpha + beta <= 0 or eps < 0:
        raise ConfigError(f"alpha {alpha}, beta {beta}, eps {eps}", hint="None is below 0, one weight is above.")
    amplitude, phase = amplitude_phase(*_both(x, x_counts, y, y_counts, frequencies))
    inside = alpha * amplitude + beta * phase.clamp(min=eps)
    above = inside > 0
    return torch.where(above, torch.where(above, inside, 1.0).sqrt(), 0.0).mean(1).sum()


def amplitude_phase(x: Phi, y: Phi) -> tuple[Tensor, Tensor]:
    r"""The two parts of the squared distance, each (K, F) and 0 or more, which add up to
    :math:`|\Phi_X - \Phi_Y|^2`:

    .. math:: \mathrm{amp} = (|\Phi_X| - |\Phi_Y|)^2, \quad
        \mathrm{pha} = 2 (|\Phi_X| |\Phi_Y| - C_X C_Y - S_X S_Y)

    (ImageBindDC, eq. 3, whose last line is mistyped). How far the rows reach out, and where they lie.
    """
    gap = _gap((x, y))
    # a difference of squares over a sum, and a rest: as printed, both lose the digits that cancel at near sets
    squares = (x[0] - y[0]) * (x[0] + y[0]) + (x[1] - y[1]) * (x[1] + y[1])
    lengths = _length(x) + _length(y)
    amplitude = torch.where(lengths > 0, squares / torch.where(lengths > 0, lengths, 1.0), 0.0).square()
    return amplitude, (gap - amplitude).clamp(min=0)


def _both(x: Tensor, x_counts: Counts, y: Tensor, y_counts: Counts, frequencies: Tensor) -> tuple[Phi, Phi]:
    if len(x_counts) != len(y_counts):
        raise ShapeError(f"{len(x_counts)} real classes, {len(y_counts)} synthetic ones; they are compared one by one")
    return characteristic(x, x_counts, frequencies), characteristic(y, y_counts, frequencies)


def _gap(both: tuple[Phi, Phi]) -> Tensor:
    (cos_x, sin_x), (cos_y, sin_y) = both
    return (cos_x - cos_y).square() + (sin_x - sin_y).square()


def _length(phi: Phi) -> Tensor:
    """Modulus; 0 with gradient 0 at 0, where it has none."""
    square = phi[0].square() + phi[1].square()
    there = square > 0
    return torch.where(there, torch.where(there, square, 1.0).sqrt(), 0.0)


class _Means(torch.autograd.Function):
    """Weighted sums of cos(X T') and sin(X T') over rows: weights (K, N) -> (2, K, F).

    Left to autograd, the way back computes each sine and cosine a second time.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor, frequencies: Tensor) -> Tensor:
        projected = rows @ frequencies.T
        cos, sin = projected.cos(), projected.sin_()
        ctx.save_for_backward(rows, weights, frequencies, cos, sin)
        return torch.stack([weights @ cos, weights @ sin])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        to_cos, to_sin = gradients[0]
        rows, weights, frequencies, cos, sin = ctx.saved_tensors
        slope = (weights.T @ to_sin).mul_(cos).addcmul_(weights.T @ to_cos, sin, value=-1)  # (N, F)
        to_rows = slope @ frequencies if ctx.needs_input_grad[0] else None
        to_frequencies = slope.T @ rows if ctx.needs_input_grad[2] else None
        return to_rows, None, to_frequencies
