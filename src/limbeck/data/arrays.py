"""The plainest way to keep numbers on disk: .npy files that are mapped, never pickled, and hashed by content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from limbeck.errors import FormatError

__all__ = ["Captions", "Strings", "digest", "map_array", "npy_header", "offsets_of"]

CHUNK = 1 << 20
SAMPLES = 256
"""How many places of a large file the sampled hash looks at."""


def npy_header(shape: Sequence[int], dtype: str) -> bytes:
    """The header of a little-endian, C-ordered .npy file of version 1.0."""
    buffer = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype).newbyteorder("<"))
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    return buffer.getvalue()


def map_array(path: Path, shape: Sequence[int], dtype: str) -> tuple[np.ndarray[Any, Any], int]:
    """(read-only mapped array, offset of its first byte) of a .npy file that must be exactly what is expected.

    Raises FormatError naming the file where it is missing, truncated, of another shape or type, or holds objects.
    """
    wanted = np.dtype(dtype).newbyteorder("<")
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("an unknown .npy version")
            found, fortran, kind = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise FormatError(f"not a readable array: {error}", where=path, hint=_AGAIN) from error
    if kind.hasobject:
        raise FormatError("holds Python objects, which are never read", where=path)
    if tuple(found) != tuple(shape) or kind != wanted or fortran:
        raise FormatError(f"holds {kind} {tuple(found)}, expected {wanted} {tuple(shape)}", where=path, hint=_AGAIN)
    count = 1
    for n in shape:
        count *= n
    if size != offset + count * wanted.itemsize:
        expected = offset + count * wanted.itemsize
        raise FormatError(f"has {size} bytes, expected {expected}: truncated or changed", where=path, hint=_AGAIN)
    if count == 0:  # an empty file cannot be mapped
        return np.empty(tuple(shape), wanted), offset
    return np.memmap(path, dtype=wanted, mode="r", offset=offset, shape=tuple(shape)), offset


_AGAIN = "Prepare the store again, or copy it again from where it came."


def digest(path: Path, offset: int, *, sampled: bool = False) -> str:
    """sha256 of a file's bytes from ``offset`` on; ``sampled``: of its size and 256 evenly spread places of 64 KiB."""
    result = hashlib.sha256()
    size = path.stat().st_size - offset
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        if not sampled:
            file.seek(offset)
            while count := file.readinto(buffer):
                result.update(buffer[:count])
            return result.hexdigest()
        block = 1 << 16
        result.update(str(size).encode())
        for k in range(SAMPLES):
            file.seek(offset + max(0, size - block) * k // (SAMPLES - 1))
            count = file.readinto(buffer[:block])
            result.update(buffer[:count])
    return result.hexdigest()


def offsets_of(lengths: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(n + 1,) running totals from 0."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)


class Strings(Sequence[str]):
    """Strings as one UTF-8 blob and (n + 1,) byte offsets: nothing is decoded before it is asked for."""

    def __init__(self, blob: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any], where: object = None) -> None:
        # subtracting neighbours would wrap around on hostile numbers; comparing them does not
        fine = offsets[0] == 0 and offsets[-1] == len(blob) and bool(np.all(offsets[1:] >= offsets[:-1]))
        if not fine:
            raise FormatError("the offsets of its strings are out of order", where=where, hint=_AGAIN)
        self._blob, self._offsets, self._where = blob, offsets, where

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        i = index + len(self) if index < 0 else index
        if not 0 <= i < len(self):
            raise IndexError(index)
        raw = self._blob[int(self._offsets[i]) : int(self._offsets[i + 1])].tobytes()
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"string {i} is not UTF-8", where=self._where) from error

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))


class Captions(Sequence[tuple[str, ...]]):
    """The captions of each item: a range of ``strings`` per item, (n + 1,) offsets."""

    def __init__(self, strings: Strings, offsets: np.ndarray[Any, Any], where: object = None) -> None:
        fine = offsets[0] == 0 and offsets[-1] == len(strings) and bool(np.all(offsets[1:] >= offsets[:-1]))
        if not fine:
            raise FormatError("the offsets of its captions are out of order", where=where, hint=_AGAIN)
        self._strings, self._offsets = strings, offsets

    @property
    def total(self) -> int:
        """Captions of all items together."""
        return len(self._strings)

    @property
    def strings(self) -> Strings:
        """All captions, item by item."""
        return self._strings

    @property
    def offsets(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(n + 1,): item i has the strings offsets[i]..offsets[i + 1]."""
        return self._offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[str, ...], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, ...] | tuple[tuple[str, ...], ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        i = index + len(self) if index < 0 else index
        if not 0 <= i < len(self):
            raise IndexError(index)
        return self._strings[int(self._offsets[i]) : int(self._offsets[i + 1])]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return (self[i] for i in range(len(self)))
