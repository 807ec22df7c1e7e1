"""Tensors that others published as ``.pt`` files: read as numbers and nothing else, converted at the door.

Files are opened with ``weights_only``, so that nothing in them runs, and mapped where they can be: a set of 90 GB is
read row by row.
"""

from __future__ import annotations

import pickle
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import DataError, FormatError
from limbeck.modalities import Image, Modality

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["load", "numbers", "read_row"]


def load(path: Path) -> Any:
    """What ``torch.save`` wrote, on the CPU. Raises FormatError that names the file."""
    import torch

    if not path.is_file():
        raise FormatError("there is no such file", where=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd files are errors or fine
            try:
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # of torch before 1.6, or no archive at all
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = "holds more than numbers and names, so it is not read"
        raise FormatError(what, where=path, hint="Convert it with the program that made it.") from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise FormatError(f"not readable as tensors ({_first_line(error)})", where=path) from error


def numbers(value: Any, name: str, where: Path, dimensions: int) -> Tensor:
    """``value`` as it stands, if it is a plain tensor of real numbers with so many dimensions. Raises FormatError."""
    import torch

    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        raise FormatError(f"{name} is no tensor, but {type(value).__name__}", where=where)
    if value.dtype.is_complex or value.is_quantized or value.ndim != dimensions:
        what = f"{name} is {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
        raise FormatError(f"{what}, expected {dimensions} dimensions of real numbers", where=where)
    # a few bytes can claim to be any number of rows
    if value.numel() == 0 or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise FormatError(f"{name} of {tuple(value.shape)} does not stand in the file", where=where)
    return value.detach()


def read_row(path: Path, key: str, index: int, modality: Modality) -> np.ndarray[Any, Any]:
    """Row ``index`` of the tensor ``key`` of a file, as the modality stores it: pictures of 0..255, decibel.

    Raises DataError on values that are not finite or no picture's.
    """
    import torch

    row = _rows(path, _stamp(path))[key][index].float()
    if tuple(row.shape) != modality.shape:
        raise DataError(f"{key} {index} is {tuple(row.shape)}, not {modality.shape}", where=path)
    if not torch.isfinite(row).all():
        raise DataError(f"{key} {index} holds values that are not finite", where=path)
    if isinstance(modality, Image):
        low, high = float(row.min()), float(row.max())
        if low < -0.5 or high > 255.5:
            raise DataError(f"{key} {index} runs from {low:g} to {high:g}, a picture from 0 to 255", where=path)
        row = row / 255
    result: np.ndarray[Any, Any] = modality.to_stored(row).numpy()
    if not np.isfinite(result).all():
        raise DataError(f"{key} {index} holds values beyond what is stored", where=path)
    return result


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError("no such file", where=path) from error
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2)
def _rows(path: Path, _state: tuple[int, int]) -> Any:
    """The open file; ``_state`` makes it another one when somebody changes it."""
    return load(path)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
