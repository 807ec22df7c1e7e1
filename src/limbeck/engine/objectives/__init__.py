"""What a step looks at, one file for each kind of method: class means, single embeddings, gradients, trajectories,
pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.engine.objectives.base import Objective
from limbeck.engine.ranks import Ranks
from limbeck.engine.settings import FRESH

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["Objective", "objective_for"]


def objective_for(
    planned: Plan,
    synthetic: SyntheticSet,
    *,
    cache: Path | None = None,
    progress: bool = False,
    rehearse: bool = False,
    ranks: Ranks | None = None,
) -> Objective:
    """The objective of a plan's method.

    Args:
        cache: folder of cached real statistics, None to keep none.
        progress: show the stages that come before the first step, such as the training of a bank.
        rehearse: take untrained networks in the place of trained ones: to measure a step, not to take it.
        ranks: that share its work; by default this process is alone.
    """
    if planned.method.objective == "gradients":
        from limbeck.engine.objectives.gradients import GradientMatching

        return GradientMatching(planned, synthetic, ranks)
    if planned.method.objective == "trajectories":
        from limbeck.engine.objectives.trajectories import TrajectoryMatching

        return TrajectoryMatching(planned, synthetic, progress=progress, rehearse=rehearse, ranks=ranks)
    if planned.method.objective == "pairs":
        from limbeck.engine.objectives.pairs import PairMatching

        return PairMatching(planned, synthetic, progress=progress, rehearse=rehearse, ranks=ranks)
    if planned.method.objective == "pair_trajectories":
        from limbeck.engine.objectives.pair_trajectories import PairTrajectories

        return PairTrajectories(planned, synthetic, progress=progress, rehearse=rehearse)
    if planned.method.objective == "embeddings" or planned.settings.encoder != FRESH or planned.by_pairs:
        from limbeck.engine.objectives.embeddings import EmbeddingMatching

        return EmbeddingMatching(planned, synthetic, cache=cache, progress=progress, rehearse=rehearse, ranks=ranks)
    from limbeck.engine.objectives.means import MeanMatching

    return MeanMatching(planned, synthetic, cache=cache, progress=progress, rehearse=rehearse, ranks=ranks)
