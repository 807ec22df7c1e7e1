"""Sharing the work on a bank: processes take turns at what is missing, and nothing finished is done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from limbeck.training import chunks

__all__ = ["take_turns"]

POLL_SECONDS = 0.5
"""Between looks at what other processes are doing."""


def take_turns(
    members: int,
    *,
    folder: Path,
    missing: Callable[[int], bool],
    work: Callable[[Sequence[int]], None],
    at_once: int = 1,
) -> None:
    """Have ``work`` done on every missing member, by this process or another that does the same.

    A member is worked on under a lock of its own, which the system takes back from a process that is killed. Returns
    when no member is missing.

    Args:
        folder: of the locks.
        missing: whether a member's files are not all there.
        work: makes the files of some members; called with their locks held, so that it may clear away what a killed
            process left of them.
        at_once: members a call of ``work``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    while todo := [m for m in range(members) if missing(m)]:
        worked = False
        for group in chunks(todo, at_once):
            held = [(m, lock) for m in group if (lock := _taken(folder / f"{m:03d}.lock")) is not None]
            try:
                mine = [m for m, _ in held if missing(m)]  # another process may have just finished one
                if mine:
                    work(mine)
                    worked = True
            finally:
                for _, lock in held:
                    lock.release()
        if not worked:
            time.sleep(POLL_SECONDS)


def _taken(path: Path) -> FileLock | None:
    """The lock, held; None where another process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock
