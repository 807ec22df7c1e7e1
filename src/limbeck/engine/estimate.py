"""What a run will cost, measured on a few of its own steps before it starts."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from limbeck.banks.experts import EXPERT_RECIPE
from limbeck.banks.pair_experts import expert_recipe
from limbeck.banks.pairs import BANK_RECIPE
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.paired import paired
from limbeck.engine.plan import Plan
from limbeck.engine.rehearsed_training import embedding_seconds, pair_training_seconds, training_seconds
from limbeck.engine.settings import FRESH

__all__ = ["estimate"]

FIRST = {
    "herding": "a network is trained on the whole training split",
    "kcenter": "a network is trained on the whole training split",
    "forgetting": "a network is trained on the whole training split and watched, for each seed",
    "kmeans": "two towers are trained on the whole training split for a few epochs, or experts are merged",
    "grand": "ten networks are trained on the whole training split, for a few epochs",
}
"""Selections that cost something, and what."""


def estimate(planned: Plan, *, trials: int = 3) -> dict[str, Any]:
    """Seconds, memory and disk of a plan, JSON-ready.

    Takes ``trials`` + 1 steps on random first items, the first uncounted, each without and with cached real
    statistics.
    """
    settings, numerics = planned.settings, planned.numerics
    about: dict[str, Any] = {
        "method": planned.method.name,
        "data": planned.store.name,
        "settings": planned.config,
        "numerics": numerics.to_dict(),
        "set_bytes": _set_bytes(planned),
    }
    if settings.steps == 0:
        return {**about, "steps": 0, "seconds": 0.0, "seconds_cached": 0.0, "first": _first(planned)}
    numerics.apply()
    start = initial_set(
        planned.store, dataclasses.replace(settings, init="random"), numerics, {},
        paired=paired(planned, rehearse=True) if planned.by_pairs else None,
        pairs=planned.method.stored_pairs(settings.pairs) if settings.pairs else None,
    )  # fmt: skip
    seconds: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        for name in ("seconds_per_step", "seconds_per_step_cached"):  # the second pass finds the first one's means
            loop = Loop(planned, start, Path(folder) if settings.cache else None, rehearse=True)
            times = []
            for _ in range(trials + 1):
                began = time.perf_counter()
                next(loop.run(trials + 1))
                times.append(time.perf_counter() - began)
            seconds[name] = statistics.median(times[1:])
            loop.close()
        kept = loop.objective.cache_bytes
    return {
        **about,
        "steps": settings.steps,
        **seconds,
        "seconds": seconds["seconds_per_step"] * settings.steps,
        "seconds_cached": seconds["seconds_per_step_cached"] * settings.steps,
        "memory_bytes": _peak(loop.device),
        "cache_bytes": kept,
        "first": _first(planned),
    }


def _first(planned: Plan) -> list[str]:
    """What is trained before the first step and kept for later runs, measured on a few batches: not in the seconds."""
    stages = [FIRST[planned.settings.init]] if planned.settings.init in FIRST else []
    if not planned.settings.steps:
        return stages
    if (bank := planned.method.bank) is not None:
        maps = f", each with {bank.decouplers} decouplers" if bank.decouplers else ""
        took = training_seconds(planned, BANK_RECIPE, bank.members, BANK_RECIPE.epochs)
        stages.append(f"a bank of {bank.members} pairs of networks{maps} (limbeck bank), {_about(took)} for the pairs")
    if planned.settings.encoder != FRESH:
        stages.append(f"real embeddings by {planned.settings.encoder}, {_about(embedding_seconds(planned))}")
    if planned.method.objective in ("pairs", "pair_trajectories"):
        stages.append(_pair_experts(planned))
    if planned.method.objective == "trajectories":
        method: Any = planned.method  # has MTT's settings
        recipe = dataclasses.replace(EXPERT_RECIPE, batch=method.expert_batch)
        took = training_seconds(planned, recipe, method.experts, method.max_start_epoch - 1 + method.expert_epochs)
        stages.append(f"{method.experts} experts of each modality, {_about(took)}")
    return stages


def _pair_experts(planned: Plan) -> str:
    method: Any = planned.method  # has the settings of experts
    own = planned.method.objective == "pair_trajectories"
    epochs = method.max_start_epoch - 1 + method.expert_epochs if own else method.expert_epochs
    stands = paired(planned, rehearse=True)
    recipe = dataclasses.replace(
        expert_recipe(stands.towers), epochs=epochs, rates=method.expert_rate, batch=method.expert_batch
    )
    took = pair_training_seconds(stands, recipe, method.experts, epochs, planned.numerics.device)
    return f"{method.experts} experts of {epochs} epochs, {_about(took)}"


def _about(seconds: float) -> str:
    """Of a rough number only the unit and the first digits."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"about {seconds / size:.1f} {unit}"
    return f"about {seconds:.0f} s"


def _set_bytes(planned: Plan) -> int:
    from limbeck.synthetic import Budget

    settings, modalities = planned.settings, planned.modalities
    if planned.by_pairs:
        modalities = paired(planned, rehearse=True).pairs.modalities
    stored = None if settings.pairs is None else planned.method.stored_pairs(settings.pairs)
    budget = Budget(settings.per_class, stored, settings.budget.bytes)
    return budget.numbers_bytes(len(planned.store.classes), modalities, settings.storage)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
