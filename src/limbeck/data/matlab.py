"""MATLAB's files, as benchmarks publish them: v7.3 is HDF5 (the extra ``nyu``), older ones are SciPy's.

Nothing here trusts a file: what it holds must stand in the file itself, be of the type that is expected, and of a size
that is believable. Only what is asked for is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import DataError, MissingDependencyError

__all__ = ["hdf5", "numbers", "read_frame", "read_names", "shape_of", "strings"]

Array = np.ndarray[Any, Any]

MAX_CHUNK = 1 << 28
"""Bytes that HDF5 may have to unpack for one number of a file."""
MAX_FRAME = 1 << 28
MAX_NAME = 200
"""Characters of a name behind a reference."""
MAX_ENTRIES = 10_000_000
FRAMES: dict[str, tuple[int, tuple[str, ...]]] = {"images": (4, ("uint8",)), "depths": (3, ("float32", "float64"))}
"""(dimensions, types) of NYU's arrays of frames."""
DAMAGED = "Is the file damaged, or did its download stop early?"


@contextmanager
def hdf5(path: Path) -> Iterator[Any]:
    """The open file. Raises DataError where it is no HDF5 or damaged, MissingDependencyError without h5py."""
    try:
        import h5py
    except ImportError as error:
        hint = "pip install 'limbeck[nyu]'"
        raise MissingDependencyError("reading MATLAB's v7.3 files needs h5py", where=path, hint=hint) from error
    if not path.is_file():
        raise DataError("no such file", where=path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"cannot be read as HDF5: {reason}", where=path, hint=DAMAGED) from error


def _dataset(file: Any, name: str, dimensions: int, types: Sequence[str]) -> Any:
    """The array ``name``, checked but not read. Raises DataError: hostile files point to others, or claim the world."""
    import h5py

    where = f"{file.filename}, {name}"
    link = file.get(name, getlink=True)
    if link is None:
        held = ", ".join(sorted(file)[:8])
        raise DataError(f"lacks {name!r}", where=file.filename, hint=f"It holds {held or 'nothing'}.")
    if not isinstance(link, h5py.HardLink):
        raise DataError("points to another place instead of holding numbers", where=where)
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.dtype.name not in types or found.ndim != dimensions:
        shown = f"{found.dtype} {found.shape}" if isinstance(found, h5py.Dataset) else "a group"
        raise DataError(f"is {shown}, not {' or '.join(types)} of {dimensions} dimensions", where=where)
    _check_storage(found, where)
    return found


def _check_storage(found: Any, where: object) -> None:
    if found.external or found.is_virtual:
        raise DataError("keeps its numbers in other files, which are not read", where=where)
    packed = int(np.prod(found.chunks, dtype=object)) * found.dtype.itemsize if found.chunks else 0
    if packed > MAX_CHUNK:
        raise DataError(f"is packed in blocks of {packed} bytes, which are not read", where=where)


def shape_of(file: Any, name: str) -> tuple[int, ...]:
    """The shape of the frames' array ``name``. Raises DataError where there is none of the type it must have."""
    shape: tuple[int, ...] = _dataset(file, name, *FRAMES[name]).shape
    return shape


def read_frame(path: Path, name: str, index: int) -> Array:
    """Frame ``index`` as people see it: (W, H) -> (H, W), (C, W, H) -> (H, W, C).

    MATLAB's columns come first in HDF5, so that every axis is turned round. The file is opened for it and closed: an
    open one does not survive the way into another process, and to open one costs less than a tenth of a frame.
    """
    with hdf5(path) as file:
        found = _dataset(file, name, *FRAMES[name])
        if not 0 <= index < len(found):
            raise DataError(f"has {len(found)} {name}, so none is number {index + 1}", where=path)
        size = int(np.prod(found.shape[1:], dtype=object)) * found.dtype.itemsize
        if not 0 < size <= MAX_FRAME:
            raise DataError(f"frames of {size} bytes are not read", where=f"{path}, {name}")
        frame: Array = np.ascontiguousarray(found[index].T)
    return frame


def read_names(file: Any, name: str) -> list[str]:
    """The texts of a cell array: references, each to the UTF-16 numbers of one text.

    Raises DataError on references that lead nowhere, to something else, or to more than a name.
    """
    import h5py

    cells = _dataset(file, name, 2, ("object",))
    if h5py.check_ref_dtype(cells.dtype) is not h5py.Reference or 1 not in cells.shape:
        raise DataError(f"is {cells.dtype} {cells.shape}, not a list of references", where=f"{file.filename}, {name}")
    if cells.size > MAX_ENTRIES:
        raise DataError(f"claims {cells.size} names", where=f"{file.filename}, {name}")
    return [_name(file, reference, f"{file.filename}, {name} {k}") for k, reference in enumerate(cells[()].flat, 1)]


def _name(file: Any, reference: Any, where: str) -> str:
    import h5py

    target = file[reference] if reference else None
    if not isinstance(target, h5py.Dataset) or target.dtype.kind != "u" or not 0 < target.size <= MAX_NAME:
        raise DataError("its reference leads to no name", where=where)
    _check_storage(target, where)
    codes = target[()].ravel().astype("<u2")
    try:
        return str(codes.tobytes().decode("utf-16-le")).strip("\0 \t\r\n")
    except UnicodeDecodeError as error:
        raise DataError("its name is not valid Unicode", where=where) from error


# -- before v7.3 -------------------------------------------------------------------------------------------------------


def _loaded(path: Path, names: Sequence[str]) -> list[Array]:
    """Variables of a file before v7.3. Raises DataError that names the file."""
    from scipy.io import loadmat, whosmat

    if not path.is_file():
        raise DataError("no such file", where=path)
    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
        for name in names:
            if name not in shapes:
                raise DataError(f"lacks {name!r}", where=path, hint=f"It holds {', '.join(shapes) or 'nothing'}.")
            if int(np.prod(shapes[name], dtype=object)) > MAX_ENTRIES:
                raise DataError(f"{name} claims {shapes[name]} entries", where=path)
        held = loadmat(path, variable_names=list(names))
    except DataError:
        raise
    except Exception as error:  # the parser raises whatever it stumbles over in a damaged file
        raise DataError(f"cannot be read as a MATLAB file: {error}", where=path, hint=DAMAGED) from error
    return [held[name] for name in names]


def numbers(path: Path, *names: str) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Lists of whole numbers, as int64. Raises DataError."""
    found = []
    for name, values in zip(names, _loaded(path, names), strict=True):
        whole = values.dtype.kind in "fiu" and bool(np.all(values == np.floor(values)))
        if not whole or np.abs(values.astype(np.float64)).max(initial=0) > MAX_ENTRIES:
            raise DataError(f"{name} is no list of whole numbers", where=path)
        found.append(values.ravel().astype(np.int64))
    return found


def strings(path: Path, *names: str) -> list[list[str]]:
    """Cell arrays of texts. Raises DataError."""
    found = []
    for name, cells in zip(names, _loaded(path, names), strict=True):
        texts = [str(c.item()) if getattr(c, "size", 0) == 1 else None for c in cells.ravel()]
        if cells.dtype.kind != "O" or None in texts:
            raise DataError(f"{name} is no list of texts", where=path)
        found.append([t for t in texts if t is not None])
    return found
