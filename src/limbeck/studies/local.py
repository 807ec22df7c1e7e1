"""Cells in processes of this machine. A process that dies takes its own cell with it and no other."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from limbeck.errors import StudyError
from limbeck.studies.cells import Job, run_cell, told_error

__all__ = ["Local", "cores", "default_workers"]

MOST_WORKERS = 8
"""By default [choice]: each holds half a gigabyte before it has done anything."""
GRACE = 10.0
"""Seconds that an interrupted cell has to write down where it stands."""


def cores() -> int:
    """Of this machine, for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(cells: int) -> int:
    """One for each GPU, else for each core of the CPU."""
    import torch

    return max(1, min(cells, torch.cuda.device_count() or min(cores(), MOST_WORKERS)))


@dataclass
class _Slot:
    """A process, started when it is first needed and again when it has died."""

    number: int
    pool: ProcessPoolExecutor | None = None
    pid: Future[int] | None = None
    work: Future[dict[str, Any]] | None = None
    job: Job | None = None

    def drop(self) -> None:
        """Forget a process that has died."""
        if self.pool is not None:
            self.pool.shutdown(wait=False)
        self.pool = self.pid = None


@dataclass
class Local:
    """``workers`` processes of ``threads`` threads each; with several GPUs, each process sees one of them."""

    workers: int
    threads: int
    slots: list[_Slot] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.slots = [_Slot(number) for number in range(self.workers)]
        return self

    @property
    def free(self) -> bool:
        """Whether a cell can be started now."""
        return any(slot.job is None for slot in self.slots)

    @property
    def busy(self) -> int:
        """Cells that are being worked on."""
        return sum(slot.job is not None for slot in self.slots)

    def start(self, job: Job) -> None:
        """Hand a cell to a free process."""
        slot = next(slot for slot in self.slots if slot.job is None)
        try:
            slot.work = self._pool(slot).submit(run_cell, job)
        except BrokenProcessPool:  # it died while it had nothing to do
            slot.drop()
            slot.work = self._pool(slot).submit(run_cell, job)
        slot.job = job

    def _pool(self, slot: _Slot) -> ProcessPoolExecutor:
        if slot.pool is None:
            # a pool of one: where a process of a pool dies, all that the pool was doing is lost
            slot.pool = ProcessPoolExecutor(
                1, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(slot.number, self.threads)
            )
            slot.pid = slot.pool.submit(os.getpid)
        return slot.pool

    def wait(self) -> list[tuple[Job, dict[str, Any]]]:
        """The cells that are finished, at least one, with what their files should say."""
        done, _ = wait([slot.work for slot in self.slots if slot.work is not None], return_when=FIRST_COMPLETED)
        found = []
        for slot in self.slots:
            if slot.work in done and slot.work is not None and slot.job is not None:
                found.append((slot.job, self._outcome(slot)))
                slot.job = slot.work = None
        return found

    def _outcome(self, slot: _Slot) -> dict[str, Any]:
        assert slot.work is not None
        try:
            return slot.work.result()
        except BrokenProcessPool:
            slot.drop()
            error = StudyError(
                "the process that worked on it died",
                hint="Killed from outside, or out of memory: fewer --workers need less. A script that calls "
                "limbeck.study keeps the call under `if __name__ == '__main__':`.",
            )
            return {"state": "failed", "error": told_error(error)}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._interrupt()
        for slot in self.slots:
            if slot.pool is not None:
                slot.pool.shutdown(wait=error is None, cancel_futures=True)

    def _interrupt(self) -> None:
        """A cell that is taking steps writes down where it stands; then every process ends."""
        self._send(signal.SIGINT)
        working = [slot.work for slot in self.slots if slot.work is not None]
        with contextlib.suppress(KeyboardInterrupt):  # a second one does not wait
            wait(working, timeout=GRACE)
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        for slot in self.slots:
            if slot.pid is not None and slot.pid.done() and slot.pid.exception() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(slot.pid.result(), number)


def _begin(number: int, threads: int) -> None:
    """Before a process imports anything heavy."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a run that takes steps listens; whoever started us says the rest
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch

    if torch.cuda.device_count() > 1:  # counted without using any
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        devices = seen.split(",") if seen else [str(k) for k in range(torch.cuda.device_count())]
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a cell without a study would go on for nobody
