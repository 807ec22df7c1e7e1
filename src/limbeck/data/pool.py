"""Work spread over processes: bounded memory, one thread each, and an item that kills or hangs its worker is found."""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from limbeck.errors import LimbeckError

__all__ = ["cores", "spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[list[Item]], list[Result]]
PATIENCE = 60.0
"""Seconds an item may take, on the average of its chunk, before its worker counts as hanging."""


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    function: Work[Item, Result],
    chunks: Iterable[list[tuple[int, Item]]],
    *,
    workers: int,
    crashed: Callable[[Item], Result],
    patience: float = PATIENCE,
) -> Iterator[tuple[int, Result]]:
    """(number, result) of each (number, item) of the chunks, in the order they are ready.

    Args:
        function: items -> their results, which do not depend on what else is in the chunk; picklable; raises nothing.
        chunks: what a worker takes at a time.
        workers: processes; 1 works in this one. One thread either way, so that the numbers are the same.
        crashed: the result of an item that ended its worker (a decoder may crash on a hostile file), or hung.
        patience: seconds an item may take in a worker; nothing can stop this process's own decoder.

    Raises LimbeckError where worker processes cannot be started at all.
    """
    source = iter(chunks)
    if workers <= 1:
        with _one_thread():
            for chunk in source:
                yield from zip((number for number, _ in chunk), function([i for _, i in chunk]), strict=True)
        return
    work = partial(_watched, function, patience)
    lost: list[tuple[int, Item]] = []
    while True:
        yield from _in_a_pool(work, source, workers, lost)
        if not lost:
            return
        # the pool broke: what it had in hand is tried again one at a time, to find the item that did it
        yield from _one_by_one(work, lost, crashed)
        lost.clear()


def _in_a_pool(
    work: Work[Item, Result], source: Iterator[list[tuple[int, Item]]], workers: int, lost: list[tuple[int, Item]]
) -> Iterator[tuple[int, Result]]:
    """Works until the source is dry or the pool breaks; ``lost`` then holds what was taken and not done."""
    pending: dict[Future[list[Result]], list[tuple[int, Item]]] = {}
    with _pool(workers) as pool:
        while True:
            while len(pending) < 4 * workers and (chunk := next(source, None)) is not None:
                try:
                    pending[pool.submit(work, [item for _, item in chunk])] = chunk
                except BrokenProcessPool:
                    lost.extend(chunk)
                    break
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                chunk = pending.pop(future)
                try:
                    results = future.result()
                except BrokenProcessPool:
                    lost.extend(chunk)
                    continue
                yield from ((number, result) for (number, _), result in zip(chunk, results, strict=True))
            if lost:
                lost.extend(pair for chunk in pending.values() for pair in chunk)
                return


def _one_by_one(
    work: Work[Item, Result], items: list[tuple[int, Item]], crashed: Callable[[Item], Result]
) -> Iterator[tuple[int, Result]]:
    waiting = iter(items)
    left = next(waiting, None)
    while left is not None:
        with _pool(1) as pool:
            while left is not None:
                number, item = left
                left = next(waiting, None)
                try:
                    yield number, pool.submit(work, [item]).result()[0]
                except BrokenProcessPool:
                    yield number, crashed(item)
                    break


def _watched(function: Work[Item, Result], patience: float, items: list[Item]) -> list[Result]:
    """The work, in a worker that ends itself where it hangs: no thread of Python's could, while a decoder runs."""
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(patience * len(items), exit=True, file=nowhere)
        try:
            return function(items)
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # fork would copy this process's threads' locks in whatever state they are
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker)
    try:
        try:
            pool.submit(int).result()
        except BrokenProcessPool as error:
            hint = "In a script, call it under `if __name__ == '__main__':`, or use workers=1."
            raise LimbeckError("worker processes cannot be started", where="prepare", hint=hint) from error
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """One thread, deaf to Ctrl-C (the parent tells it when to stop), gone when the parent is."""
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: Any) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
