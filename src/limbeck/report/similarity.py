"""How alike a set holds its pairs to be, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.report.media import data_address, picture_bytes, signed_picture

if TYPE_CHECKING:
    from limbeck.synthetic import SyntheticSet

__all__ = ["Heat", "similarity_heat"]

PAIRS = 500
"""Rows and columns shown at most."""


@dataclass(frozen=True)
class Heat:
    """The matrix, one cell an entry.

    Args:
        picture: data address. shown: rows and columns in it.
        scale: the entry of full colour: the largest off the diagonal.
        own: lowest and highest on the diagonal. others: off it; None for one pair.
    """

    picture: str
    shown: int
    scale: float
    own: tuple[float, float]
    others: tuple[float, float] | None


def similarity_heat(synthetic: SyntheticSet) -> Heat | None:
    """None where a set has no similarity of its own."""
    import torch

    if synthetic.similarity is None:
        return None
    shown = min(len(synthetic), PAIRS)
    matrix = synthetic.similarity.rows(torch.arange(shown)).detach().float().cpu()
    others = matrix[~torch.eye(shown, dtype=torch.bool)]
    scale = float((others if len(others) and others.any() else matrix).abs().max().clamp_min(1e-6))
    return Heat(
        picture=data_address(*picture_bytes(signed_picture(matrix / scale), lossless=True)),
        shown=shown,
        scale=scale,
        own=(float(matrix.diag().min()), float(matrix.diag().max())),
        others=(float(others.min()), float(others.max())) if len(others) else None,
    )
