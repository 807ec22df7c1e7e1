"""A user's file of ImageBind's weights, one modality at a time, memory-mapped; nothing is ever downloaded.

The published weights are CC-BY-NC 4.0 (README) or CC-BY-NC-SA 4.0 (licence file): not for commercial use.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.encoders.base import Weights
from limbeck.encoders.imagebind.config import LICENCE, ImageBindConfig, Part
from limbeck.encoders.imagebind.model import on_meta
from limbeck.errors import ConfigError, FormatError, MissingDependencyError, NumericsError

__all__ = ["FILES", "VARIABLE", "find_weights", "load_modality", "load_part", "needed_weights"]

VARIABLE = "LIMBECK_IMAGEBIND"
"""Environment variable that names the file."""
FILES = ("imagebind_huge.pth", "imagebind_huge.safetensors")
URL = "dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth"
ROOMS = ("preprocessors", "trunks", "heads", "postprocessors")
EXPECTED = "A .pth or .safetensors file of ImageBind's own names is wanted, of the model's size."
SHOWN = 3
"""Names that a message lists."""


def find_weights(folders: Iterable[Path] = ()) -> Path | None:
    """The published weights on this machine: what :data:`VARIABLE` names, else a file in ``folders``, else in torch
    hub's checkpoints. Raises ConfigError where the variable names no file."""
    told = os.environ.get(VARIABLE)
    if told:
        if not Path(told).is_file():
            raise ConfigError(f"{VARIABLE} names no file", where=told, hint=_where_to_put(folders))
        return Path(told)
    places = [*folders, Path(torch.hub.get_dir()) / "checkpoints"]
    return next((p / name for p in places for name in FILES if (p / name).is_file()), None)


def needed_weights(folders: Iterable[Path] = ()) -> Path:
    """:func:`find_weights`; raises MissingDependencyError where there are none, and says what to put where."""
    folders = list(folders)
    found = find_weights(folders)
    if found is None:
        raise MissingDependencyError(
            "ImageBind's published weights are not on this machine", where="imagebind", hint=_where_to_put(folders)
        )
    return found


def load_modality(
    path: Path,
    config: ImageBindConfig,
    modality: str,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Weights:
    """Parameters of one modality by their names in the file; see :func:`load_part`.

    Args:
        modality: one of the config's kinds.
    """
    return load_part(path, config.part(modality), config.embedding, dtype=dtype, device=device)


def load_part(
    path: Path,
    part: Part,
    embedding: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Weights:
    """Parameters of ``part``, from torch's own file or safetensors; other modalities in it are not read.

    On a CPU in the file's own precision they stay mapped to it and take no memory of their own. Fixed scales and the
    causal mask are checked and left out.

    Args:
        dtype: of all but the scale of text: float16 and bfloat16 halve the memory, and it computes in them.

    Raises:
        ConfigError: no such file. FormatError: it cannot be read, a name is missing or is not the model's, a shape, a
        scale or the mask is another. NumericsError: a weight is not finite.
    """
    if not path.is_file():
        raise ConfigError("there is no such file of weights", where=path, hint=EXPECTED)
    state = on_meta(part, embedding).state_dict()
    fixed = dict(on_meta(part, embedding).named_buffers())
    prefixes = tuple(f"modality_{room}.{part.kind}." for room in ROOMS)
    found: Weights = {}
    with _opened(path) as (names, get):
        there = [name for name in names if name.startswith(prefixes)]
        _same_names(path, part.kind, list(state), there)
        for name, like in state.items():
            value = get(name)
            _check(path, name, value, like, fixed.get(name))
            if name not in fixed:
                found[name] = value.to(device, dtype if like.dim() else torch.float32)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Callable[[str], Tensor]]]:
    """Names in the file, and the way to a tensor."""
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                yield list(file.keys()), file.get_tensor
            return
        whole: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise FormatError("not readable as weights", where=path, hint=EXPECTED) from error
    if isinstance(whole, Mapping) and isinstance(whole.get("state_dict"), Mapping):
        whole = whole["state_dict"]
    if not isinstance(whole, Mapping) or not all(isinstance(v, Tensor) for v in whole.values()):
        raise FormatError("holds no weights by name", where=path, hint="Save a network's state_dict().")
    yield [str(name) for name in whole], whole.__getitem__


def _same_names(path: Path, kind: str, wanted: list[str], there: list[str]) -> None:
    missing, unknown = sorted(set(wanted) - set(there)), sorted(set(there) - set(wanted))
    for names, what in ((missing, "misses"), (unknown, "has, and the model has not,")):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            listed = ", ".join(names[:SHOWN])
            raise FormatError(f"is not the {kind} part of this ImageBind: it {what} {listed}{more}", where=path)


def _check(path: Path, name: str, value: Tensor, like: Tensor, fixed: Tensor | None) -> None:
    if value.shape != like.shape:
        what = f"{name} is {tuple(value.shape)} there and {tuple(like.shape)} in the model"
        raise FormatError(f"holds weights of another model: {what}", where=path)
    if not value.is_floating_point():
        raise FormatError(f"{name} is of {value.dtype}, no weight", where=path)
    if fixed is not None:
        if not torch.allclose(value.float(), fixed, atol=1e-3):
            raise FormatError(f"{name} is fixed in the model, and another in the file", where=path)
    elif not bool(value.isfinite().all()):
        raise NumericsError(f"{name} has values that are not finite", where=path)


def _where_to_put(folders: Iterable[Path]) -> str:
    place = next((str(folder / FILES[0]) for folder in folders), "a file")
    return f"Put {FILES[0]} (about 4.8 GB, {URL}) at {place} or name it in {VARIABLE}. Its licence is {LICENCE}."
