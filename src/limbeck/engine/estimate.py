"""What a run will cost, measured on a few of its own steps before it starts."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from limbeck.engine.initial import chosen_modalities, initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.plan import Plan
from limbeck.engine.statistics import StatisticsCache, statistics_key

__all__ = ["estimate"]

FIRST = {"herding": "a network is trained on the whole training split before the first step, once for data and width"}
"""Selections that cost something, and what: not in the seconds."""


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
        return {**about, "steps": 0, "seconds": 0.0, "seconds_cached": 0.0}
    import dataclasses

    numerics.apply()
    start = initial_set(planned.store, dataclasses.replace(settings, init="random"), numerics, {})
    modalities = chosen_modalities(planned.store, settings.modalities)
    encoders = numerics.encoders(modalities, settings.channels)
    shapes = {name: (len(planned.store.classes), e.embedding) for name, e in encoders.items()}
    seconds: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        key = statistics_key(planned.store, encoders, settings, numerics)
        cache = StatisticsCache(Path(folder), key, shapes, settings.cache_dtype, 1e12)
        for name in ("seconds_per_step", "seconds_per_step_cached"):  # the second pass finds the first one's means
            loop = Loop(planned, start, cache)
            times = []
            for _ in range(trials + 1):
                began = time.perf_counter()
                next(loop.run(trials + 1))
                times.append(time.perf_counter() - began)
            seconds[name] = statistics.median(times[1:])
        record = cache.record_bytes
        cache.close()
    kept = int(min(settings.cache_limit * 1e9, record * settings.steps)) if settings.cache else 0
    return {
        **about,
        "steps": settings.steps,
        **seconds,
        "seconds": seconds["seconds_per_step"] * settings.steps,
        "seconds_cached": seconds["seconds_per_step_cached"] * settings.steps,
        "memory_bytes": _peak(loop.device),
        "cache_bytes": kept,
        "first_items": FIRST.get(settings.init),
    }


def _set_bytes(planned: Plan) -> int:
    from limbeck.synthetic import Budget

    budget = Budget(planned.settings.per_class, planned.settings.pairs)
    modalities = chosen_modalities(planned.store, planned.settings.modalities)
    return budget.bytes(len(planned.store.classes), modalities)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
