"""Matching gradients: DC's layer-wise distance (Zhao, Mopuri and Bilen, "Dataset Condensation with Gradient Matching",
eq. 9).

Legend: gradients of one network's loss by parameter name; a parameter of shape (O, \\*rest) has O rows, the weights
that lead to one output channel or unit, each flattened to rest's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from limbeck.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EPS", "layerwise", "matched", "rows"]

EPS = 1e-6
"""What the code adds to the product of two norms."""


def matched(weights: Mapping[str, Tensor]) -> list[str]:
    """The parameters the distance looks at: two dimensions or more. Biases and norms play no part [code]."""
    return [name for name, weight in weights.items() if weight.ndim > 1]


def layerwise(real: Mapping[str, Tensor], synthetic: Mapping[str, Tensor]) -> Tensor:
    r"""Sum over layers of :func:`rows`: :math:`\sum_l d(\nabla_l^R, \nabla_l^S)`, a scalar.

    Args:
        real, synthetic: by parameter name (O, \*rest), the same shapes; parameters of one dimension are passed over.

    Raises:
        ShapeError: other names or shapes on the two sides, or nothing but biases and norms.
    """
    if set(real) != set(synthetic):
        raise ShapeError(f"real gradients of {sorted(real)}, synthetic gradients of {sorted(synthetic)}")
    names = matched(synthetic)
    if not names:
        raise ShapeError("there is no gradient with rows to compare: every parameter is a bias or a norm")
    total = rows(real[names[0]], synthetic[names[0]])
    for name in names[1:]:
        total = total + rows(real[name], synthetic[name])
    return total


def rows(real: Tensor, synthetic: Tensor) -> Tensor:
    r"""One layer: :math:`\sum_o 1 - \langle r_o, s_o\rangle / (|r_o| |s_o| + 10^{-6})`, rows r and s of (O, \*rest).

    A row of zeros on either side is at distance 1. Where the real one is zero the gradient is zero; where the
    synthetic one is, it is -r / 1e-6: finite, and what the formula's own limit is.
    """
    if real.shape != synthetic.shape or real.ndim < 2:
        raise ShapeError(
            f"real gradient {tuple(real.shape)}, synthetic {tuple(synthetic.shape)}, both must be (O, *rest)"
        )
    r, s = real.flatten(1), synthetic.flatten(1)
    cosine = (r * s).sum(1) / (r.norm(dim=1) * s.norm(dim=1) + EPS)
    total: Tensor = (1 - cosine).sum()
    return total
