"""The similarity of a set's pairs, learnt with them: LoRS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.errors import ResumeError
from limbeck.synthetic.similarity import Factors, Similarity

if TYPE_CHECKING:
    from limbeck.synthetic import SyntheticSet

__all__ = ["LearntSimilarity"]


class LearntSimilarity:
    """Steps the factors by SGD with momentum and keeps the set's similarity up to date, on the CPU.

    Args:
        synthetic: gets the similarity.
        start: the factors to begin with.
        alpha: how much the low-rank part counts.
        rate: of SGD.
    """

    def __init__(self, synthetic: SyntheticSet, start: Factors, *, alpha: float, rate: float, momentum: float) -> None:
        self.synthetic, self.alpha, self.rate, self.momentum = synthetic, alpha, rate, momentum
        self._momenta = Factors(*(torch.zeros_like(x) for x in start))
        self.slopes = self._momenta
        """Of the loss by factor, from the parts of this step."""
        self._take(start)

    def propose(self) -> dict[str, Tensor]:
        """See :meth:`limbeck.engine.objectives.base.Objective.propose`; so of the next three."""
        proposed = {}
        for name in Factors._fields:
            buffer = self.momentum * getattr(self._momenta, name) + getattr(self.slopes, name)
            proposed[f"momentum of the similarity's {name}"] = buffer
            proposed[f"the similarity's {name}"] = getattr(self.factors, name) - self.rate * buffer
        return proposed

    def accept(self, proposed: Mapping[str, Tensor]) -> None:
        self._momenta = Factors(*(proposed[f"momentum of the similarity's {name}"] for name in Factors._fields))
        self._take(Factors(*(proposed[f"the similarity's {name}"] for name in Factors._fields)))

    def state(self) -> dict[str, Tensor]:
        kept = {f"the similarity's {name}": x for name, x in self.factors._asdict().items()}
        return kept | {f"momentum of the similarity's {name}": x for name, x in self._momenta._asdict().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        mine = self.state()
        if any(name not in state or state[name].shape != x.shape for name, x in mine.items()):
            raise ResumeError("the checkpoint does not hold the similarity of this run", hint="Start a new run.")
        self.accept({name: state[name].to(x) for name, x in mine.items()})

    def _take(self, factors: Factors) -> None:
        self.factors = factors
        self.synthetic.similarity = Similarity(factors, self.alpha).to("cpu")
