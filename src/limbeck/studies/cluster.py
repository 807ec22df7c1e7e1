"""Cells on a Ray cluster, whose machines share a file system."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from limbeck.errors import ConfigError, DataError, LimbeckError, MissingDependencyError, StudyError
from limbeck.files import read_json
from limbeck.studies.cells import Job, run_cell, told_error

__all__ = ["Cluster"]

LOST = 2
"""Times that a cell whose machine was lost is given to another."""
GRACE = 10.0
"""Seconds that an interrupted cell has to write down where it stands."""
STORE_BYTES = 80 * 2**20
"""Of shared memory for a cluster of our own, near Ray's least: cells pass on a few words."""


@dataclass
class Cluster:
    """At most ``workers`` cells at once, each on ``threads`` cores, and on a GPU where the cluster has some.

    Args:
        address: of the cluster: "auto", "ray://host:port"; None makes one on this machine.
        workers: None for as many as the cluster has room for.
        gpu: whether cells may use one.
    """

    address: str | None
    workers: int | None
    threads: int
    gpu: bool = True
    own: bool = False
    jobs: dict[Any, Job] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine by itself
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("Ray is not installed", hint="pip install 'limbeck[cluster]'") from error
        if not ray.is_initialized():
            told: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            if self.address is None:
                told |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
            try:
                ray.init(address=self.address or "local", **told)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ConfigError(
                    f"no Ray cluster answers ({error})", where="--address", hint="`ray start --head` starts one."
                ) from error
            self.own = True
        try:
            self._ask(ray)
        except BaseException:
            self._leave()
            raise
        return self

    def _ask(self, ray: Any) -> None:
        """Settles what a cell asks of the cluster."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
        if self.threads > most:
            raise ConfigError(
                f"a cell asks for {self.threads} cores, and no machine of the cluster has more than {most}",
                hint="Say `threads` in the study's settings.",
            )
        self.remote = ray.remote(
            num_cpus=self.threads,
            num_gpus=1 if self.gpu and any(node.get("GPU", 0) for node in nodes) else 0,
            max_retries=0,  # told apart below: a machine that was lost, a cell that kills its process
            runtime_env={"env_vars": {k: v for k, v in os.environ.items() if k == "LIMBECK_CACHE"}},
        )(run_there)

    @property
    def free(self) -> bool:
        """Whether a cell can be handed over now."""
        return self.workers is None or len(self.jobs) < self.workers

    @property
    def busy(self) -> int:
        """Cells that are being worked on."""
        return len(self.jobs)

    def start(self, job: Job) -> None:
        """Hand a cell to the cluster."""
        self.jobs[self.remote.remote(job)] = job

    def wait(self) -> list[tuple[Job, dict[str, Any]]]:
        """The cells that are finished, with what their files should say; none where all that ended were lost."""
        import ray

        done, _ = ray.wait(list(self.jobs), num_returns=1)
        found = []
        for reference in done:
            job = self.jobs.pop(reference)
            try:
                found.append((job, ray.get(reference)))
            except ray.exceptions.NodeDiedError as error:
                self.losses[job.cell.name] = self.losses.get(job.cell.name, 0) + 1
                if self.losses[job.cell.name] <= LOST:
                    self.start(job)
                else:
                    found.append((job, _failed(f"{LOST + 1} machines were lost while they worked on it", error)))
            except ray.exceptions.RayError as error:
                found.append((job, _failed("the process that worked on it died", error)))
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        if self.jobs:
            for reference in self.jobs:
                ray.cancel(reference)
            with contextlib.suppress(KeyboardInterrupt):  # a second one does not wait
                ray.wait(list(self.jobs), num_returns=len(self.jobs), timeout=GRACE)
        self._leave()

    def _leave(self) -> None:
        import ray

        if self.own:
            ray.shutdown()


def run_there(job: Job) -> dict[str, Any]:
    """A cell on a machine of the cluster, which must see the study's folder."""
    try:
        see(job)
    except LimbeckError as error:
        return {"state": "failed", "error": told_error(error)}
    return run_cell(job)


def see(job: Job) -> None:
    """Raises DataError where this machine does not see the study's folder."""
    path = job.folder / "study.json"
    if not path.exists() or read_json(path).get("hash") != job.study.hash:
        import platform

        raise DataError(
            f"the machine {platform.node()} does not see this study's folder", where=job.folder,
            hint="Put --out, data and LIMBECK_CACHE on a file system that all machines of the cluster share.",
        )  # fmt: skip


def _failed(what: str, error: Exception) -> dict[str, Any]:
    first = str(error).strip().partition("\n")[0]
    return {"state": "failed", "error": told_error(StudyError(what, hint=f"Ray says: {first}"))}
