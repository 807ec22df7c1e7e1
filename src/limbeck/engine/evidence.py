"""What a run's selection may ask of trained networks: trained as the run computes, when it asks, with progress."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.progress import Progress

if TYPE_CHECKING:
    from limbeck.banks.dynamics import Dynamics
    from limbeck.data.store import PairedStore
    from limbeck.engine.numerics import Numerics
    from limbeck.engine.settings import RunSettings
    from limbeck.modalities import Modality

__all__ = ["TrainedEvidence"]

Array = np.ndarray[Any, Any]


class TrainedEvidence:
    """``limbeck.selection.Evidence`` of a run.

    Args:
        modalities: of the store's, those the run uses.
        progress: show it on standard error.
    """

    def __init__(
        self,
        store: PairedStore,
        modalities: Mapping[str, Modality],
        settings: RunSettings,
        numerics: Numerics,
        *,
        progress: bool = False,
    ) -> None:
        self.store, self.modalities, self.settings = store, dict(modalities), settings
        self.numerics, self.progress = numerics, progress

    @cached_property
    def features(self) -> Mapping[str, Array]:
        from limbeck.banks.whole import whole_features
        from limbeck.training import Recipe

        recipe = Recipe()
        steps = -(-len(self.store.rows("train")) // recipe.batch) * recipe.epochs
        with self._bar("a network on the whole training split", steps) as bar:
            return whole_features(
                self.store,
                channels=self.settings.channels,
                modalities=tuple(self.modalities),
                device=self.numerics.device,
                kernels=self.numerics.kernels,
                precision=self.numerics.precision,
                report=lambda done: bar.update(done, {}, bar.rate(recipe.batch)),
            )

    @cached_property
    def history(self) -> Array:
        from limbeck.banks.dynamics import RECIPE

        dynamics = self._dynamics
        with self._bar("a network and what it forgets", dynamics.steps) as bar:
            return dynamics.history(lambda done: bar.update(done, {}, bar.rate(RECIPE.batch)))

    @cached_property
    def gradient_norms(self) -> Array:
        from limbeck.banks.dynamics import NETWORKS, RECIPE

        dynamics = self._dynamics
        with self._bar(f"{NETWORKS} networks and their gradients", dynamics.steps * NETWORKS) as bar:
            return dynamics.gradient_norms(lambda done: bar.update(done, {}, bar.rate(RECIPE.batch)))

    @property
    def _dynamics(self) -> Dynamics:
        from limbeck.banks.dynamics import Dynamics

        return Dynamics(
            self.store,
            self.modalities,
            self.settings.seed,
            channels=self.settings.channels,
            device=self.numerics.device,
            kernels=self.numerics.kernels,
            precision=self.numerics.precision,
        )

    def _bar(self, title: str, steps: int) -> Progress:
        return Progress(title, steps, shown=self.progress)
