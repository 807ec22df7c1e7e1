"""MNIST's idx files, compressed or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import DataError

__all__ = ["read_idx"]

LIMIT = 1 << 30


@lru_cache(maxsize=4)
def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """The uint8 array of an idx file, any number of dimensions. Kept: do not write into it. Raises DataError."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08":
                raise DataError("is no idx file of bytes", where=path)
            sizes = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
            total = int(np.prod(sizes, dtype=object))
            if total > LIMIT:
                raise DataError(f"claims {total} bytes", where=path)
            data = file.read(total + 1)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", where=path, hint="Is the file damaged or missing?") from error
    if len(data) != total:
        raise DataError(
            f"holds {'more' if len(data) > total else 'fewer'} than the {total} bytes it declares", where=path
        )
    return np.frombuffer(data, np.uint8).reshape(sizes)
