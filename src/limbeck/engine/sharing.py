"""What of a run several ranks can share, settled before it begins."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data import cache_root
from limbeck.engine.groups import even_group
from limbeck.engine.plan import Plan, plan
from limbeck.engine.settings import FRESH, LOOKING
from limbeck.errors import ConfigError
from limbeck.methods import methods

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.engine.numerics import Numerics
    from limbeck.engine.ranks import Ranks

__all__ = ["evenly", "refuse_apart", "refuse_unshared", "settled_by"]

ALONE = "pair_trajectories"
"""The objective of methods whose inner steps each need the one before, and both towers: nothing is left to share."""


def settled_by(
    ranks: Ranks, settle: Callable[[], Plan], data: str | Path | PairedStore | None, *, resume: bool
) -> Plan:
    """The plan that rank 0 settles, on every rank; met by all.

    Args:
        settle: gives it.
        data: as each rank was told, None for what the plan says.
        resume: the run was begun, and its groups stay as they are.

    Raises:
        ConfigError: the run cannot be shared so.
    """
    if not ranks.many:
        return settle()
    mine: list[Plan] = []

    def told() -> tuple[str, str, dict[str, Any], Numerics]:
        planned = settle()
        refuse_unshared(planned, ranks.size)
        mine.append(planned if resume else evenly(planned, ranks.size))
        return planned.method.name, planned.data, planned.config, mine[0].numerics

    method, name, config, numerics = ranks.tell(told)
    if not mine:
        settings = {key: value for key, value in config.items() if key not in ("data", "method")}
        where = name if data is None else data
        mine.append(plan(method, where, settings=settings, method_settings=config["method"], numerics=numerics))
    refuse_apart(mine[0], ranks)
    return mine[0]


def refuse_unshared(planned: Plan, size: int) -> None:
    """Raises ConfigError where ``size`` ranks cannot share the run: naming what can be shared, or how many can."""
    method, settings = planned.method, planned.settings
    if method.objective == ALONE or not settings.steps:
        known = [n for n, m in methods().items() if m.kind != "coreset" and m.objective != ALONE]
        why = "takes no steps" if not settings.steps else "takes one inner step after another"
        raise ConfigError(
            f"{method.name} {why} and runs in one process, torchrun started {size}",
            hint=f"Start it without torchrun. Shared over ranks are {', '.join(known)}.",
        )
    if settings.stepping == "per_class":
        raise ConfigError(
            "per class each step waits for the one before, and there is nothing to share over ranks",
            where="--stepping",
            hint="Use --stepping step, or start without torchrun.",
        )
    count, what = _parts(planned)
    if count < size:
        raise ConfigError(
            f"{size} ranks for {count} {what}",
            hint=f"Start {count} at most." if count > 1 else "Start it without torchrun.",
        )


def evenly(planned: Plan, size: int) -> Plan:
    """A new plan whose groups of classes, where they were left to the run, fall evenly on ``size`` ranks."""
    if planned.method.objective not in LOOKING or planned.by_pairs or planned.settings.encoder != FRESH:
        return planned
    classes, settings, numerics = len(planned.store.classes), planned.settings, planned.numerics
    group = settings.group or even_group(numerics.group, classes, size)
    real = settings.real_group or even_group(numerics.real_group, classes, size)
    own = dataclasses.replace(numerics, group=min(group, classes), real_group=min(real, classes))
    return dataclasses.replace(planned, numerics=own)


def refuse_apart(planned: Plan, ranks: Ranks) -> None:
    """Raises ConfigError where ranks see other data, or have no cache in common for the networks that rank 0 makes;
    met by all."""
    hashes = ranks.every(planned.store.data_hash)
    if other := [rank for rank, found in enumerate(hashes) if found != hashes[0]]:
        raise ConfigError(
            f"rank {other[0]} has other data than rank 0", where="--data", hint="Give every machine the same store."
        )
    if not (planned.by_pairs or planned.method.bank or planned.method.objective == "trajectories") and (
        planned.settings.encoder == FRESH
    ):
        return
    probe = Path(ranks.tell(lambda: str(_probe())))
    there = ranks.every(probe.exists())
    ranks.wait()
    if ranks.first:
        probe.unlink(missing_ok=True)
    if not all(there):
        raise ConfigError(
            f"rank {there.index(False)} does not see the cache of rank 0",
            where=probe.parent,
            hint="Set LIMBECK_CACHE to a folder that all machines share.",
        )


def _parts(planned: Plan) -> tuple[int, str]:
    """What ranks share, how many of it there are."""
    if planned.method.objective == "trajectories":
        return len(planned.modalities), "modalities, which this method shares"
    if planned.by_pairs:
        most = getattr(planned.method, "synthetic_batch", None)
        pairs = planned.settings.pairs or 0
        return min(pairs, most or pairs), "pairs a step"
    return len(planned.store.classes), "classes"


def _probe() -> Path:
    folder = cache_root()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".ranks.{os.getpid()}.tmp"
    path.touch()
    return path
