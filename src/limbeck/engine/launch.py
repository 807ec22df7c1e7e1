"""How this process was started: alone, or by ``torchrun`` as one of many. Without torch, so that the command line can
ask."""

from __future__ import annotations

import os
from dataclasses import dataclass

from limbeck.errors import ConfigError

__all__ = ["SHARED_VERB", "Launch", "launched", "refuse_many", "speaks"]

SHARED_VERB = "distill"
"""What several processes can do together."""


@dataclass(frozen=True)
class Launch:
    """One of ``size`` processes.

    Args:
        rank: which of them, over all machines.
        local: which of those on this machine, and so which GPU is its own.
        here: how many are on this machine; without a launcher that says it, as many as are known of.
    """

    rank: int
    size: int
    local: int
    here: int


def launched() -> Launch | None:
    """What ``torchrun`` said in the environment; None for a process alone. Raises ConfigError where it is garbled."""
    told = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")}
    if None in told.values():
        return None
    try:
        rank, size = int(told["RANK"] or ""), int(told["WORLD_SIZE"] or "")
        local = int(os.environ.get("LOCAL_RANK", rank))
        here = int(os.environ.get("LOCAL_WORLD_SIZE", local + 1))
    except ValueError as error:
        raise ConfigError(
            f"RANK {told['RANK']!r}, WORLD_SIZE {told['WORLD_SIZE']!r} are no numbers",
            where="environment",
            hint="Start with torchrun, or unset them.",
        ) from error
    return Launch(rank, size, local, here) if size > 1 else None


def refuse_many(verb: str) -> None:
    """Raises ConfigError where several processes were started for a verb that one is to do."""
    if verb != SHARED_VERB and launched() is not None:
        raise ConfigError(
            f"`limbeck {verb}` runs in one process, torchrun started several",
            hint=f"Start it without torchrun; only `limbeck {SHARED_VERB}` shares its work.",
        )


def speaks(error: BaseException | None = None) -> bool:
    """Whether this process is to print what there is to say: of many, one does. Of an error that ended a shared run it
    is the first that met it, else rank 0."""
    said = getattr(error, "said", None)
    if said is not None:
        return not said
    try:
        started = launched()
    except ConfigError:
        return True
    return started is None or started.rank == 0
