"""Weights of a network from a file of the user's."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.encoders.base import Weights
from limbeck.errors import ConfigError, FormatError, NumericsError

__all__ = ["read_weights"]

SHOWN = 3
"""Names that a message lists."""


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], *, ignored: str | None = None) -> Weights:
    """float32 weights by name, in the order of ``shapes``, from a safetensors file or torch's own (.pt, .pth, .bin).

    torch's files are read as tensors only. They may hold the weights under "state_dict".

    Args:
        ignored: what a name may begin with that is in the file and not asked for, such as a classifier.

    Raises:
        ConfigError: there is no such file. FormatError: it cannot be read, or its names or shapes are not these;
        names them. NumericsError: a weight is not finite.
    """
    if not path.is_file():
        raise ConfigError(
            "there is no such file of weights", where=path, hint="Give a file, or auto or none for --pretrained."
        )
    found = _read(path)
    missing = [name for name in shapes if name not in found]
    unknown = [n for n in found if n not in shapes and not (ignored and n.startswith(ignored))]
    for names, what in ((missing, "misses"), (unknown, "has, and the network has not,")):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise FormatError(
                f"holds weights of another network: it {what} {', '.join(names[:SHOWN])}{more}", where=path
            )
    for name, shape in shapes.items():
        if tuple(found[name].shape) != tuple(shape):
            what = f"{name} is {tuple(found[name].shape)} there and {tuple(shape)} in the network"
            raise FormatError(f"holds weights of another network: {what}", where=path)
        if not found[name].is_floating_point():
            raise FormatError(f"{name} is of {found[name].dtype}, no weight", where=path)
        if not bool(found[name].isfinite().all()):
            raise NumericsError(f"{name} has values that are not finite", where=path)
    return {name: found[name].to(torch.float32).contiguous() for name in shapes}


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise FormatError(f"not readable as weights ({str(error).splitlines()[0]})", where=path) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise FormatError("holds no weights by name", where=path, hint="Save a network's state_dict().")
    return {str(name): value for name, value in found.items()}
