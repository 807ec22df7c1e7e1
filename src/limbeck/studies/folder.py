"""A study's folder: one process at a time, and on resuming the same study or a larger one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limbeck.errors import ConfigError, ResumeError
from limbeck.files import read_json, sweep, write_json
from limbeck.studies.spec import Study

__all__ = ["begin", "opened"]

FILE = "study.json"


@contextmanager
def opened(folder: Path, *, resume: bool) -> Iterator[None]:
    """The folder for this process alone.

    Raises ConfigError where it is no place for a new study, ResumeError where there is none to resume or another
    process has it.
    """
    from filelock import FileLock, Timeout

    begun = (folder / FILE).exists()
    if resume and not begun:
        raise ResumeError("no study was started here", where=folder, hint="Leave --resume out.")
    if not resume:
        _refuse_used(folder, begun)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / ".lock"))
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ResumeError("another process is working on this study", where=folder) from error
    except OSError as error:
        raise ConfigError(f"no folder can be written here ({error.strerror})", where=folder) from error
    try:
        for place in (folder, folder / "runs", folder / "cells"):
            place.mkdir(exist_ok=True)
            sweep(place)
        yield
    finally:
        lock.release()
        if not (folder / FILE).exists():  # nothing was begun, and a mended study can have the folder
            _clear(folder)


def begin(folder: Path, study: Study, data: Mapping[str, Any], threads: int, *, resume: bool) -> int:
    """Write down what the study is; how many threads a cell has, which on resuming is what it was.

    Raises ResumeError, naming what changed, where a cell that was there before is to be another now.
    """
    told = {cell.name: cell.told for cell in study.cells()}
    about = {**study.told, "hash": study.hash, "data_hash": data["hash"], "threads": threads, "cells": told}
    if resume:
        before = read_json(folder / FILE)
        _refuse_changed(before, study, data, folder)
        about["threads"] = threads = int(before.get("threads", threads))
        # no longer named, and still there should they be named again
        gone = {**before.get("dropped", {}), **before.get("cells", {})}
        about["dropped"] = {name: of for name, of in gone.items() if name not in told and _made(folder, name)}
    write_json(folder / FILE, about)
    return threads


def _refuse_used(folder: Path, begun: bool) -> None:
    if begun:
        raise ConfigError("a study is here", where=folder, hint="Go on with --resume, or choose another --out.")
    if folder.exists() and (not folder.is_dir() or any(p.name != ".lock" for p in folder.iterdir())):
        raise ConfigError("not an empty folder", where=folder, hint="Choose another --out.")


def _clear(folder: Path) -> None:
    (folder / ".lock").unlink(missing_ok=True)
    for path in (folder / "runs", folder / "cells", folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _refuse_changed(before: Mapping[str, Any], study: Study, data: Mapping[str, Any], folder: Path) -> None:
    changed = [] if before.get("data_hash") == data["hash"] else [f"data {before.get('data')} -> {study.data}"]
    were = {**before.get("dropped", {}), **before.get("cells", {})}
    now = {cell.name: cell.told for cell in study.cells()}
    for name, told in now.items():
        if name in were:
            changed += [f"{key} {a} -> {b}" for key, a, b in _unequal(were[name], told)]
    scorings = [scoring.given for scoring in study.evaluate]
    gone = [scoring for scoring in before.get("evaluate", []) if scoring not in scorings]
    if gone:
        new = [scoring for scoring in scorings if scoring not in before.get("evaluate", [])]
        pairs = list(_unequal(gone[0], new[0] if new else {}))
        changed += [f"evaluate.{key} {a} -> {b}" for key, a, b in pairs]
    if changed:
        raise ResumeError(
            f"the study was started with other settings: {'; '.join(dict.fromkeys(changed))}", where=folder,
            hint="Put them back, give what is new a label of its own, or choose another --out.",
        )  # fmt: skip


def _made(folder: Path, name: str) -> bool:
    return (folder / "runs" / name / "synthetic").exists()


def _unequal(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, before, now) of what differs, mappings gone into."""
    for key in dict.fromkeys([*before, *now]):
        a, b = before.get(key, "not told"), now.get(key, "not told")
        if isinstance(a, dict) and isinstance(b, dict):
            yield from ((f"{key}.{inner}", x, y) for inner, x, y in _unequal(a, b))
        elif a != b:
            yield key, a, b
