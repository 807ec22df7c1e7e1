"""DSA: DC on augmented items, real and synthetic ones augmented alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limbeck.methods.dc import DC

__all__ = ["SiameseDC"]


@dataclass(frozen=True)
class SiameseDC(DC):
    """Differentiable Siamese augmentation: DC where the real and synthetic items of a class are augmented by one draw,
    and networks are trained on items that are augmented each by its own.

    From random real items; the rest as DC: rate 0.1, momentum 0.5, 256 real items a class, 1000 networks.

    Args:
        outer: steps with one network; by default the published number for the budget: 1, 10, 20, 30, 40, 50 at as many
            per class, the nearest of these by ratio between them.
        inner: epochs on the set between two steps; by default 1, 50, 25, 20, 15, 10 at those budgets.
        inner_rate: of plain SGD in these epochs (0.01).
        inner_batch: their batches (256).
    """

    name = "dsa"
    title = "Gradient matching with Siamese augmentation"
    paper = "Zhao and Bilen, Dataset Condensation with Differentiable Siamese Augmentation, ICML 2021"
    defaults: ClassVar = {"init": "random", "factor": 1, "lr": 0.1, "momentum": 0.5}
