"""Who works on a study's cells: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.errors import ConfigError, nearest
from limbeck.studies.spec import Study

if TYPE_CHECKING:
    from limbeck.studies.cluster import Cluster
    from limbeck.studies.local import Local

__all__ = ["Hands"]

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Hands:
    """As they were asked for, see :func:`limbeck.studies.run.study`. Raises ConfigError where they do not fit."""

    executor: str = "local"
    workers: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            hint = nearest(self.executor, EXECUTORS)
            raise ConfigError(f"no executor {self.executor!r}", where="--executor", hint=hint)
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers is {self.workers}", where="--workers", hint="It is 1 or more.")
        if self.address is not None and self.executor != "ray":
            raise ConfigError("only a Ray cluster has an address", where="--address", hint="Say --executor ray.")

    def threads(self, cells: int) -> int:
        """Of a cell's computation, where its settings say nothing of them: a core's share, or as many as
        OMP_NUM_THREADS allows."""
        from limbeck.studies.local import cores, default_workers

        if self.executor == "ray":
            return 1
        told = os.environ.get("OMP_NUM_THREADS", "")
        most = int(told) if told.isdecimal() and int(told) > 0 else cores()
        return max(1, min(most, cores() // (self.workers or default_workers(cells))))

    def pool(self, study: Study, threads: int, cells: int) -> Local | Cluster:
        """What ``cells`` of the study's cells can be handed to."""
        if self.executor == "ray":
            from limbeck.studies.cluster import Cluster

            asked = {str(cell.method.settings.get("device", "auto")) for cell in study.cells()}
            return Cluster(self.address, self.workers, threads, gpu=asked != {"cpu"})
        from limbeck.studies.local import Local, default_workers

        return Local(min(self.workers or default_workers(cells), cells), threads)
