"""TESLA with weighted BCE: LoRS without its similarity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limbeck.methods.pair_trajectories import PairTrajectoryMethod, script

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.synthetic import Budget
    from limbeck.synthetic.similarity import Factors

__all__ = ["TeslaWBCE"]


@dataclass(frozen=True)
class TeslaWBCE(PairTrajectoryMethod):
    """Trajectory matching of two towers where inner steps minimise weighted binary cross entropy, and a pair is alike
    only to itself; the gradient is TESLA's.

    LoRS's baseline, of which no script is published: rates, inner batches (20; 40 at 500 pairs) and start epochs (2; 3
    at 500) are LoRS's for the nearest of 100, 200 and 500 pairs. Momentum 0.5, 3000 steps, random real first pairs.
    """

    name = "tesla_wbce"
    title = "Trajectory matching with TESLA's gradient and weighted BCE"
    paper = "Xu et al., Low-Rank Similarity Mining for Multimodal Dataset Distillation, ICML 2024"

    @classmethod
    def published(cls, budget: Budget) -> Mapping[str, Any]:
        return {"lr": script(budget).lr}

    def inner_loss(self, a: Tensor, b: Tensor, factors: Factors | None) -> Tensor:
        from limbeck.losses.similarity import weighted_bce

        del factors
        return weighted_bce(a, b, a.new_ones(len(a)).diag(), temperature=self.temperature)
