"""The folder of a bank in the cache, and the files in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from limbeck.encoders.machine import machine_name
from limbeck.errors import ConfigError, FormatError, LimbeckError
from limbeck.files import canonical, digest_of, read_json, write_bytes, write_json

__all__ = ["Shapes", "computing_as", "found_folder", "holds", "made_here", "name_of", "read_tensors", "write_tensors"]

Shapes = Mapping[str, tuple[int, ...]]


def found_folder(root: Path, settings: Mapping[str, Any], made_with: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The folder under ``root`` of what ``settings`` describe, made where it is not there.

    Args:
        made_with: what changes the last bits, such as threads. It names no folder: whoever makes it writes it down.

    Returns:
        the folder, and what it was made with.

    Raises ConfigError where the cache cannot be written, FormatError where ``about.json`` is damaged.
    """
    folder = root / name_of(settings)
    file = folder / "about.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not file.exists():
                write_json(file, {"settings": settings, "made_with": made_with})
    except OSError as error:
        raise ConfigError(
            f"the cache cannot be written ({error.strerror or error})",
            where=folder,
            hint="Set LIMBECK_CACHE to a folder that can be.",
        ) from error
    again = "Remove the folder: the bank is trained again."
    try:
        about = read_json(file)
    except FormatError as error:
        raise FormatError(error.what, where=file, hint=again) from error
    if not isinstance(about.get("made_with"), dict) or not made_with.keys() <= about["made_with"].keys():
        raise FormatError("is damaged", where=file, hint=again)
    return folder, about["made_with"]


def made_here(device: str | torch.device, **more: Any) -> dict[str, Any]:
    """What changes the last bits of what is trained now and here: of ``made_with``."""
    return {
        "torch": torch.__version__,
        "device": torch.device(device).type,
        "machine": machine_name(device),
        "threads": torch.get_num_threads(),
        **more,
    }


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """One safetensors file, with ``about`` in its head; in one step. Equal content is equal bytes."""
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a killed process: the caller holds this file's lock
        left.unlink(missing_ok=True)
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(packed, metadata={"limbeck": canonical(about)}))


def read_tensors(path: Path, shapes: Shapes, dtype: torch.dtype) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and what is said about them. Raises FormatError where the file is not whole or not what it should
    hold."""
    with _opened(path, shapes, dtype) as (file, about):
        return {name: file.get_tensor(name) for name in shapes}, about


def holds(path: Path, shapes: Shapes, dtype: torch.dtype) -> bool:
    """Whether the file is there and has tensors of these names, shapes and type; its head alone is read."""
    try:
        with _opened(path, shapes, dtype):
            return True
    except LimbeckError:
        return False


_NAMES = {torch.float32: "F32", torch.float16: "F16"}


@contextmanager
def _opened(path: Path, shapes: Shapes, dtype: torch.dtype) -> Iterator[tuple[Any, dict[str, Any]]]:
    from safetensors import SafetensorError, safe_open

    hint = "Remove it: it is made again."
    try:
        with safe_open(path, framework="pt") as file:  # looks at the file's length too
            about = json.loads((file.metadata() or {})["limbeck"])
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
            if found != {name: (tuple(shape), _NAMES[dtype]) for name, shape in shapes.items()}:
                raise FormatError("holds other weights than it should", where=path, hint=hint)
            yield file, about
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not readable ({error})", where=path, hint=hint) from error


@contextmanager
def computing_as(made_with: Mapping[str, Any]) -> Iterator[None]:
    """With as many threads as the folder's maker, so that last bits do not hang on who goes on with it."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(made_with["threads"]))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def name_of(what: Any) -> str:
    """A hash of JSON-ready data."""
    return digest_of(what)[:32]
