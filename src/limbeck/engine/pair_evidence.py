"""What a run's selection of pairs may ask of two towers: trained as the run computes, when it asks, with progress."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from limbeck.progress import Progress
from limbeck.selection.kmeans import Halves

if TYPE_CHECKING:
    from limbeck.banks.pair_dynamics import PairDynamics
    from limbeck.engine.numerics import Numerics
    from limbeck.engine.paired import Paired
    from limbeck.selection.evidence import Model

__all__ = ["TrainedPairs"]

Array = np.ndarray[Any, Any]


class TrainedPairs:
    """``limbeck.selection.PairEvidence`` of a run.

    Args:
        progress: show it on standard error.
    """

    def __init__(self, paired: Paired, seed: int, numerics: Numerics, *, progress: bool = False) -> None:
        self.paired, self.seed, self.numerics, self.progress = paired, seed, numerics, progress

    def features(self, model: Model) -> Halves:
        """On the run's device, in single precision: half of that after a warm-up, as the cache keeps it."""
        device = self.numerics.device
        if model == "warm-up":
            kept = self._warmed_up()
            first, second = (torch.from_numpy(table).to(device).float() for table in kept.values())
        else:
            first, second = self._through(model)
        return Halves(first, second, torch.from_numpy(self.paired.pairs.owner.copy()).to(device))

    @cached_property
    def history(self) -> Array:
        from limbeck.banks.pair_dynamics import FORGETTING

        dynamics = self._dynamics
        with Progress("two towers and what they forget", dynamics.steps(FORGETTING), shown=self.progress) as bar:
            return dynamics.history(lambda done: bar.update(done, {}, bar.rate(FORGETTING.batch)))

    def _warmed_up(self) -> dict[str, Array]:
        from limbeck.banks.pair_dynamics import WARM_UP

        dynamics = self._dynamics
        with Progress("two towers warmed up on the real pairs", dynamics.steps(WARM_UP), shown=self.progress) as bar:
            return dynamics.features(lambda done: bar.update(done, {}, bar.rate(WARM_UP.batch)))

    def _through(self, model: Model) -> list[torch.Tensor]:
        """(I, D) and (R, D) by one network that is merged or not trained."""
        from limbeck.banks.pair_dynamics import unit_embeddings
        from limbeck.engine.merging import clustering_network
        from limbeck.training.pair_data import Lifted, RealPairs

        paired, pairs = self.paired, self.paired.pairs
        weights = clustering_network(paired.planned, paired, model=model, progress=self.progress)
        data = Lifted(RealPairs(pairs, self.numerics.device), paired.towers, progress=self.progress)
        return [torch.cat(list(unit_embeddings(paired.towers, weights, data, name))) for name in pairs.modalities]

    @property
    def _dynamics(self) -> PairDynamics:
        from limbeck.banks.pair_dynamics import PairDynamics

        return PairDynamics(
            self.paired.pairs,
            self.paired.towers,
            self.seed,
            device=self.numerics.device,
            kernels=self.numerics.kernels,
            precision=self.numerics.precision,
            progress=self.progress,
        )
