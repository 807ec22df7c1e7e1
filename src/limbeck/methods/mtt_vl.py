"""MTT-VL: trajectory matching of two towers that are trained by contrast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from limbeck.errors import ConfigError
from limbeck.methods.pair_trajectories import PairTrajectoryMethod

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.synthetic import Budget
    from limbeck.synthetic.similarity import Factors

__all__ = ["MTTVL"]


@dataclass(frozen=True)
class MTTVL(PairTrajectoryMethod):
    """Trajectory matching for image and text: from the weights of an expert's towers at a random epoch, a few steps of
    InfoNCE on the set should lead to its weights an epoch later. Each inner step draws its pairs anew (100), start
    epochs are the first two.

    Rate 1000 for both modalities, momentum 0.5, 3000 steps, random real first pairs; the exact gradient through all
    inner steps.

    Args:
        legacy_logit_scale: multiply inner cosines by log(1 / temperature), 2.66, as the authors' code does where its
            experts and its evaluation have 1 / temperature, 14.3.
    """

    name = "mtt_vl"
    title = "Trajectory matching of two towers"
    paper = "Wu, Zhang, Deng and Russakovsky, Vision-Language Dataset Distillation, TMLR 2024"
    defaults: ClassVar = {**PairTrajectoryMethod.defaults, "lr": 1000.0}
    fresh_batches = True
    student_loss = "info_nce"

    inner_batch: int | None = 100
    max_start_epoch: int | None = 2
    gradient: Literal["exact", "tesla", "unroll"] = "exact"
    legacy_logit_scale: bool = False

    def for_budget(self, budget: Budget) -> Self:
        if self.legacy_logit_scale and not self.temperature < 1:
            raise ConfigError(
                f"log(1 / temperature) of a temperature of {self.temperature} is no scale", where="method.temperature",
                hint="It is below 1, or legacy_logit_scale is off.",
            )  # fmt: skip
        return super().for_budget(budget)

    def inner_loss(self, a: Tensor, b: Tensor, factors: Factors | None) -> Tensor:
        from limbeck.losses.contrastive import info_nce

        del factors
        tau = 1 / math.log(1 / self.temperature) if self.legacy_logit_scale else self.temperature
        return info_nce(a, b, temperature=tau)
