"""Two towers, trained on a set by pairs as a protocol trains them, for people to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from limbeck.encoders import Weights
from limbeck.encoders.tower import TwoTower
from limbeck.errors import ConfigError
from limbeck.evaluation.pair_settings import settle_pairs
from limbeck.evaluation.pair_trial import PairTrial
from limbeck.evaluation.pairs import students
from limbeck.evaluation.protocols import Protocol
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.origin import store_of

__all__ = ["TrainedTowers", "train_towers"]


@dataclass(frozen=True, eq=False)
class TrainedTowers:
    """Two trained towers. Calling them with a batch gives embeddings that meet in one space.

    Args:
        towers: their architecture.
        weights: by modality.
        trial: what they were trained and can be asked by.
    """

    towers: TwoTower
    weights: Mapping[str, Weights]
    trial: PairTrial

    def __repr__(self) -> str:
        return f"<TrainedTowers of {' and '.join(self.towers.towers)} by {self.trial.protocol}>"

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By modality of ``batch`` (N, *shape), normalised as the set is -> (N, D) of length one. What else a batch
        holds is not looked at; raises ConfigError where it holds neither modality."""
        seen = {name: batch[name].to(self.trial.device) for name in self.towers.towers if name in batch}
        if not seen:
            raise ConfigError(f"the batch holds none of {', '.join(self.towers.towers)}")
        with torch.no_grad():
            found = self.towers.embed(self.weights, self.towers.lift(seen))
        return {name: normalize(x, dim=1) for name, x in found.items()}

    def score(self, *, split: str = "test") -> dict[str, float]:
        """Percent by metric on real pairs of ``split``, as ``limbeck evaluate`` gives it for this seed."""
        (student,) = self.trial.students
        return self.trial.galleries(split)[student].scores(self.weights)


def train_towers(
    synthetic: SyntheticSet, data: Any, rules: Protocol, seed: int, student: str | None, **machine: Any
) -> TrainedTowers:
    """See :func:`limbeck.evaluation.trained.train`."""
    store = store_of(synthetic, data)
    settled = settle_pairs(
        synthetic, store, list(synthetic.modalities), rules,
        students=None if student is None else [student], captions=None, width=None, pretrained=None, select="last",
    )  # fmt: skip
    trial = PairTrial(synthetic, store, protocol=rules.name, seeds=[seed], **settled, **machine)
    name, _, weights, _ = next(students(trial, trial.galleries("test")))
    return TrainedTowers(trial.towers[name], weights, trial)
