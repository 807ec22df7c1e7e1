"""Writing so that nothing half-written survives: a file or folder is either as it was or as it should be."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limbeck.errors import FormatError

__all__ = ["canonical", "digest_file", "new_folder", "read_json", "sweep", "write_bytes", "write_json"]


def canonical(data: Any) -> str:
    """JSON with one spelling for equal data, for hashing."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Replace ``path`` by ``data`` as JSON, two spaces deep. NaN is refused: it is not JSON."""
    write_bytes(path, (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``. Raises FormatError where there is none."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise FormatError("there is no such file", where=path) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"not readable as JSON ({error})", where=path) from error
    if not isinstance(data, dict):
        raise FormatError("holds no JSON object", where=path)
    return data


def digest_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``path`` when the block ends well and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    previous = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(previous)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes had half-written into ``folder``; the caller holds its lock."""
    for left in [*folder.glob(".*.tmp"), *folder.glob(".*.old")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
