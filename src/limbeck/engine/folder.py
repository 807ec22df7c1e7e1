"""The run folder: claimed by one process, never written over, with a log of what happened when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from limbeck.engine.plan import Plan, versions
from limbeck.errors import ConfigError, ResumeError
from limbeck.files import sweep, write_json

__all__ = ["begin", "claimed", "log", "refuse_used", "withdraw"]


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder, made where it is not there, for this process alone, rid of what a killed one had half-written.

    Raises ResumeError where another process has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise ConfigError(f"no folder can be written here ({error.strerror})", where=folder) from error
    lock = FileLock(str(folder / ".lock"))
    try:
        with lock.acquire(timeout=0):
            sweep(folder)
            sweep(folder / "checkpoint")
            yield
    except Timeout as error:
        raise ResumeError("another process is working in this run folder", where=folder) from error


def refuse_used(folder: Path) -> None:
    """Raises ConfigError where a run, or anything else, is already in ``folder``."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError("not a folder", where=folder, hint="Choose another --out.")
    if (folder / "config.json").exists():
        finished = (folder / "synthetic").exists()
        raise ConfigError(
            "a finished run is here" if finished else "an unfinished run is here",
            where=folder,
            hint="Choose another --out." if finished else "Go on with --resume, or choose another --out.",
        )
    if any(p.name != "run.json" and not p.name.startswith(".") for p in folder.iterdir()):
        raise ConfigError("not an empty folder", where=folder, hint="Choose another --out.")


def log(folder: Path, text: str) -> None:
    """Add a line to the run's log, with the time (UTC)."""
    with (folder / "log").open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")


def begin(folder: Path, planned: Plan, ranks: int = 1) -> None:
    """Write down what the run is, and how many processes share it."""
    shared = {"ranks": ranks} if ranks > 1 else {}
    write_json(
        folder / "run.json",
        {
            "method": planned.method.name,
            "data": {"name": planned.store.name, "path": str(planned.store.path), "hash": planned.store.data_hash},
            "numerics": planned.numerics.to_dict() | shared,
            "hash": planned.hash,
            "versions": versions(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )
    write_json(folder / "config.json", planned.config)  # last: its presence says that a run was started
    log(folder, f"started: {planned.method.name} on {planned.store.name}")


def withdraw(folder: Path) -> None:
    """Undo :func:`begin` where nothing was made since, so that a mended command can name the same folder."""
    if not (folder / "initial").exists():
        for name in ("config.json", "run.json", "log"):
            (folder / name).unlink(missing_ok=True)
