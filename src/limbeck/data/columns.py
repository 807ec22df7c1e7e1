"""The arrays of an unfinished store: made whole at the start, filled row by row in any order."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.arrays import map_array, npy_header
from limbeck.data.statistics import blocks
from limbeck.errors import DataError
from limbeck.modalities import Modality

__all__ = ["Columns"]

Array = np.ndarray[Any, Any]


class Columns:
    """One ``<modality>.npy`` of ``capacity`` rows each in ``folder``.

    Args:
        fresh: False takes up files that are there; raises FormatError where somebody changed them.
    """

    def __init__(self, folder: Path, modalities: Mapping[str, Modality], capacity: int, *, fresh: bool) -> None:
        self.folder, self.modalities, self.capacity = folder, modalities, capacity
        self._headers = {m.name: npy_header((capacity, *m.shape), m.dtype) for m in modalities.values()}
        self._files: dict[str, int] = {}
        for m in modalities.values():
            path = folder / f"{m.name}.npy"
            if fresh:
                with path.open("wb") as file:
                    file.write(self._headers[m.name])
                    file.truncate(len(self._headers[m.name]) + capacity * _row_bytes(m))
            else:
                map_array(path, (capacity, *m.shape), m.dtype)
            self._files[m.name] = os.open(path, os.O_RDWR)

    def checksum(self, row: int) -> int:
        """CRC-32 of the row's bytes as they stand on the disk."""
        total = 0
        for m in self.modalities.values():
            offset = len(self._headers[m.name]) + row * _row_bytes(m)
            total = zlib.crc32(os.pread(self._files[m.name], _row_bytes(m), offset), total)
        return total

    def write(self, row: int, arrays: Mapping[str, Array], where: str) -> int:
        """Write a row and return its checksum.

        Raises DataError on arrays that do not fit, values that are not finite, and a full disk.
        """
        total = 0
        for m in self.modalities.values():
            array = np.ascontiguousarray(arrays[m.name])
            if array.shape != m.shape or array.dtype != np.dtype(m.dtype):
                found = f"{array.dtype} {array.shape}"
                raise DataError(f"{m.name} is {found}, the store holds {m.dtype} {m.shape}", where=where)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataError(f"{m.name} holds values that are not finite", where=where)
            data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            try:
                os.pwrite(self._files[m.name], data, len(self._headers[m.name]) + row * len(data))
            except OSError as error:
                raise DataError(f"cannot be written: {error.strerror}", where=self.folder / f"{m.name}.npy") from error
            total = zlib.crc32(data, total)
        return total

    def without_gaps(self, modality: Modality, rows: Array, folder: Path) -> Array:
        """The rows that stay, mapped: the file as it is, or, where rows are left out, copied into ``folder``."""
        source, _ = map_array(self.folder / f"{modality.name}.npy", (self.capacity, *modality.shape), modality.dtype)
        if len(rows) == self.capacity:
            return source
        fresh, shape = folder / f"{modality.name}.npy", (len(rows), *modality.shape)
        with fresh.open("wb") as file:
            file.write(npy_header(shape, modality.dtype))
            for block in blocks(len(rows), source):
                file.write(np.take(source, rows[block], axis=0).tobytes())
        return map_array(fresh, shape, modality.dtype)[0]

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files = {}


def _row_bytes(modality: Modality) -> int:
    return int(np.prod(modality.shape)) * np.dtype(modality.dtype).itemsize
