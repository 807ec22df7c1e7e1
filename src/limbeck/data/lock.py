"""One process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limbeck.errors import DataError

__all__ = ["lock_file", "locked"]


def lock_file(staging: Path) -> Path:
    """The lock lies beside the staging folder, which may be thrown away and made anew."""
    return staging.with_name(staging.name + ".lock")


@contextmanager
def locked(staging: Path) -> Iterator[None]:
    """Hold the lock of a staging folder. Raises DataError where another process does, OSError where that fails."""
    import filelock

    staging.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(str(lock_file(staging)))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise DataError(
            "another process is writing this store", where=staging, hint="Wait for it to finish."
        ) from error
    try:
        yield
    finally:
        lock.release()
