"""GraNd: items with the largest gradients early in training (Paul et al., "Deep learning on a data diet").

The norms themselves come from networks in training: ``limbeck.banks.dynamics``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["grand_ranking"]

Array = np.ndarray[Any, Any]


def grand_ranking(norms: Array) -> Array:
    """The items from the largest gradient norm (N,) down, (N,) int64. Ties go to the lower row."""
    ranking: Array = np.argsort(-np.asarray(norms, dtype=np.float64), kind="stable")
    return ranking
