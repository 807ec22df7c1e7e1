"""LoRS: how alike the pairs are is learnt with them, in a matrix of low rank."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from limbeck.errors import ConfigError
from limbeck.methods.pair_trajectories import PairTrajectoryMethod, script

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.modalities import Modality
    from limbeck.synthetic import Budget
    from limbeck.synthetic.similarity import Factors

__all__ = ["LoRS"]


@dataclass(frozen=True)
class LoRS(PairTrajectoryMethod):
    """Low-rank similarity mining: TESLA with weighted BCE, whose targets S = diag(w) + alpha/r L R^T are learnt with
    the pairs and belong to the set. They take the place of one pair: a budget of N holds N - 1.

    What is left out is what the Flickr30k script of 100, 200 or 500 pairs has, whichever is nearest: lr 100, 1000,
    1000; inner_batch 20, 20, 40; max_start_epoch 2, 2, 3. Momentum 0.5, 3000 steps, random real first pairs.

    Args:
        rank: r (published: 10, 5, 20).
        alpha: how much the low-rank part counts (published: 3, 1, 0.01).
        similarity_rate: of SGD on w, L and R, with the run's momentum (published: 10, 10, 100).
    """

    name = "lors"
    title = "Low-rank similarity mining"
    paper = "Xu et al., Low-Rank Similarity Mining for Multimodal Dataset Distillation, ICML 2024"
    learns_similarity = True

    rank: int | None = None
    alpha: float | None = None
    similarity_rate: float | None = None

    @classmethod
    def published(cls, budget: Budget) -> Mapping[str, Any]:
        return {"lr": script(budget).lr}

    @classmethod
    def stored_pairs(cls, pairs: int) -> int:
        return pairs - 1

    def for_budget(self, budget: Budget) -> Self:
        known = script(budget)
        settled = dataclasses.replace(
            super().for_budget(budget),
            rank=known.rank if self.rank is None else self.rank,
            alpha=known.alpha if self.alpha is None else self.alpha,
            similarity_rate=known.similarity_rate if self.similarity_rate is None else self.similarity_rate,
        )
        if (settled.rank or 0) < 1:
            raise ConfigError(f"rank is {settled.rank}", where="method.rank", hint="It is 1 or more.")
        settled._check_rates("alpha", "similarity_rate")
        return settled

    def check(self, modalities: Mapping[str, Modality], budget: Budget) -> None:
        super().check(modalities, budget)
        if budget.pairs == 1:
            raise ConfigError("a budget of 1 pair leaves none beside the similarity", hint="Ask for --pairs 2 or more.")

    def inner_loss(self, a: Tensor, b: Tensor, factors: Factors | None) -> Tensor:
        from limbeck.losses.similarity import weighted_bce
        from limbeck.synthetic.similarity import similarity

        assert factors is not None
        assert self.alpha is not None
        return weighted_bce(a, b, similarity(*factors, alpha=self.alpha), temperature=self.temperature)
