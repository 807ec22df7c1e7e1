"""Which rows of an unfinished store are done: a file of one JSON line a row, each written after the row's bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["DONE", "SKIPPED", "TODO", "Journal"]

TODO, DONE, SKIPPED = 0, 1, 2


class Journal:
    """The journal of rows 0..capacity-1, taken up where an earlier process left it.

    A last line cut short, or a row whose bytes never reached the disk, is to be done again.

    Args:
        path: of the file.
        checksum: row -> that of its bytes on the disk.
    """

    def __init__(self, path: Path, capacity: int, checksum: Callable[[int], int]) -> None:
        self.path = path
        self.status = np.zeros(capacity, np.uint8)
        self._lines = np.zeros(capacity, np.int64)
        self._stamps: dict[int, str] = {}
        path.touch()
        position = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                    row = int(entry["row"])
                    if not 0 <= row < capacity:
                        break
                    skipped = entry.get("skipped") is not None
                    good = skipped or entry["sum"] == checksum(row)
                except (ValueError, KeyError, TypeError):
                    break
                self._set(row, (SKIPPED if skipped else DONE) if good else TODO, position, entry)
                position += len(line)
        os.truncate(path, position)
        self._file = path.open("ab")

    def _set(self, row: int, status: int, position: int, entry: Mapping[str, Any]) -> None:
        self.status[row], self._lines[row] = status, position
        self._stamps[row] = str(entry.get("stamp", ""))

    def done(self, row: int, stamp: str) -> bool:
        """Whether the row was written or skipped, and of the source that ``stamp`` stands for."""
        return bool(self.status[row] != TODO) and self._stamps[row] == stamp

    def forget_skipped(self) -> None:
        """Skipped rows are to be done again."""
        self.status[self.status == SKIPPED] = TODO

    def note(self, row: int, status: int, entry: Mapping[str, Any]) -> None:
        """Add the row's line."""
        position = self._file.tell()
        self._file.write(json.dumps({"row": row, **entry}).encode() + b"\n")
        self._file.flush()
        self._set(row, status, position, entry)

    def entries(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Iterator[dict[str, Any]]:
        """What was noted of ``rows``."""
        with self.path.open("rb") as file:
            for row in rows:
                file.seek(int(self._lines[row]))
                yield json.loads(file.readline())

    def skipped(self) -> list[dict[str, Any]]:
        """What was noted of the rows left out."""
        return [entry["skipped"] for entry in self.entries(np.flatnonzero(self.status == SKIPPED))]

    def close(self) -> None:
        self._file.close()
