"""The networks of a run by pairs that looks through merged experts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from limbeck.banks.merged_pool import MergedPool
from limbeck.encoders import TwoTower
from limbeck.methods.mdm import MDM
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.banks.pair_experts import PairExperts
    from limbeck.encoders.base import Weights
    from limbeck.engine.paired import Paired
    from limbeck.engine.plan import Plan

__all__ = ["clustering_network", "merged_pool"]


def merged_pool(planned: Plan, paired: Paired, *, progress: bool = False, rehearse: bool = False) -> MergedPool:
    """What the steps of MDM look through.

    Args:
        progress: show the training of experts that are not there yet.
        rehearse: take a few untrained networks for experts: to measure a step.
    """
    method = _settings(planned)
    experts = None if method.model == "pretrained" else _experts(planned, paired, method, progress, rehearse)
    anchored = rehearse and planned.settings.pretrained != "none"
    return MergedPool(
        _anchored(paired) if anchored else paired.towers,
        experts,
        model=method.model,
        per_merge=method.experts_per_merge,
        alpha=method.alpha,
        clamp=method.clamp,
        pool=method.pool,
        seed=planned.settings.seed,
        device=planned.numerics.device,
    )


def clustering_network(
    planned: Plan, paired: Paired, *, model: str, progress: bool = False, rehearse: bool = False
) -> dict[str, Weights]:
    """The one network k-means sees the real pairs through, by modality.

    Args:
        model: "merged", of experts as MDM trains them (with its own settings where another method asks), or
            "pretrained", what the towers start from: no expert is trained.
    """
    towers = paired.towers
    if model == "pretrained":
        return towers.init(lambda name: stream(planned.settings.seed, "k-means", "network", name))
    method = _settings(planned)
    experts = _experts(planned, paired, method, progress, rehearse)
    # one network of a pool reads two snapshots, fresh ones would read all
    once = MergedPool(
        towers, experts, per_merge=method.experts_per_merge, alpha=method.alpha, clamp=method.clamp,
        pool=1, seed=planned.settings.seed, device=planned.numerics.device,
    )  # fmt: skip
    return once.weights(stream(planned.settings.seed, "k-means", "network"))


def _anchored(paired: Paired) -> TwoTower:
    """Towers for a rehearsal whose networks all start from the same weights where those of the run will."""
    built = dict(paired.towers.towers)
    for name, modality in paired.pairs.modalities.items():
        if modality.spatial and built[name].frozen is None:
            built[name] = dataclasses.replace(built[name], start=built[name].init(stream(0, "rehearsal", name)))
    return TwoTower(built)


def _settings(planned: Plan) -> MDM:
    return planned.method if isinstance(planned.method, MDM) else MDM()


def _experts(planned: Plan, paired: Paired, method: MDM, progress: bool, rehearse: bool) -> PairExperts:
    from limbeck.banks.pair_experts import PAIR_EXPERT_RECIPE, PairExperts

    recipe = dataclasses.replace(PAIR_EXPERT_RECIPE, rates=method.expert_rate, batch=method.expert_batch)
    return PairExperts.build(
        paired.pairs,
        paired.towers,
        experts=method.experts_per_merge if rehearse else method.experts,
        epochs=1 if rehearse else method.expert_epochs,
        recipe=recipe,
        half=planned.settings.cache_dtype == "fp16",
        device=planned.numerics.device,
        progress=progress,
        rehearse=rehearse,
    )
