"""Writing so that nothing half-written survives: a file or folder is either as it was or as it should be."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limbeck.errors import ConfigError, FormatError

__all__ = [
    "canonical",
    "digest_file",
    "digest_of",
    "new_folder",
    "read_json",
    "sweep",
    "write_bytes",
    "write_json",
    "writing_to",
]


def canonical(data: Any) -> str:
    """JSON with one spelling for equal data, for hashing. Raises ValueError on NaN and infinity: they are not JSON."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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


def digest_of(data: Any) -> str:
    """SHA-256 of JSON data. Raises ValueError on NaN and on strings that are not valid Unicode."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``path`` when the block ends well and vanishes when it does not.

    Whatever fails, and wherever, ``path`` is the old folder or the new one; a kill between the two renames leaves the
    old one beside it, where :func:`sweep` finds it.

    Raises ConfigError where this process, and a shell that started it, would be left in a folder that is gone.
    """
    _refuse_here(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    previous = path.with_name(f".{path.name}.{os.getpid()}.old")
    _settle(previous, path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        try:
            if path.exists():
                path.rename(previous)
            temporary.rename(path)
        finally:
            _settle(previous, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_here(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # it is gone already
        if Path.cwd().is_relative_to(path.resolve()):
            raise ConfigError("is the folder you are in, or holds it", where=path, hint="Name another place.")


def _settle(previous: Path, path: Path) -> None:
    """Put an old folder back where nothing took its place, remove it where something did."""
    if path.exists():
        shutil.rmtree(previous, ignore_errors=True)
    elif previous.exists():
        previous.rename(path)


def sweep(folder: Path) -> None:
    """Clear away what killed processes left in ``folder``: what was half-written goes, the only copy of what was being
    replaced comes back. The caller holds the folder's lock."""
    for left in sorted(folder.glob(".*")):
        found = re.fullmatch(r"\.(.+)\.\d+\.(tmp|old)", left.name)
        if found is None:
            continue
        if found[2] == "old":
            _settle(left, folder / found[1])
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turns what the system says against writing there into a ConfigError that names ``path``, the user's choice."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot be written ({error.strerror or error})", where=path, hint="Name another place."
        ) from error
