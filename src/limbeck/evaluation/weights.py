"""Weights that students start from and weights that they end with, in safetensors files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.encoders import Weights
from limbeck.errors import FormatError, ShapeError
from limbeck.files import write_bytes, writing_to
from limbeck.training import Student

__all__ = ["read_weights", "require_folder", "save_weights", "start"]


def read_weights(path: Path) -> Weights:
    """The tensors of a safetensors file by name. Raises FormatError where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise FormatError("there is no such file of weights", where=path) from error
    except (OSError, SafetensorError, ValueError) as error:
        raise FormatError(
            f"not readable as safetensors ({error})", where=path, hint="--save-weights writes such files."
        ) from error


def start(
    student: Student, given: Mapping[str, Tensor], seeds: Sequence[int], device: str | torch.device, where: object
) -> list[Weights]:
    """For each seed the student's fresh weights with the encoders' tensors of ``given`` in their place.

    Heads are taken where ``given`` has them in the student's shapes, and stay fresh where it does not: another set has
    other classes. Encoders of modalities that the student does not have are left alone.

    Raises:
        ShapeError: an encoder's tensor is missing, has another shape, or is none of the student's; names it.
    """
    fresh = [student.init(seed, device) for seed in seeds] or [student.init(0, device)]
    first = fresh[0]
    taken = {}
    for name in sorted(first.keys() | given.keys()):
        prefix, _, rest = name.partition("/")
        found, wanted = given.get(name), first.get(name)
        fits = found is not None and wanted is not None and found.shape == wanted.shape
        if not fits and prefix in student.encoders and not rest.startswith("head."):
            raise ShapeError(
                f"{name} is {_words(found)}, the encoder {student.encoders[prefix].id} has {_words(wanted)}",
                where=where,
                hint="Give weights of this architecture, width and picture size.",
            )
        if fits and found is not None and wanted is not None:
            taken[name] = found.to(wanted.device, wanted.dtype)
    return [weights | taken for weights in fresh[: len(seeds)]]


def require_folder(folder: Path) -> None:
    """Raises ConfigError where no file can be written into ``folder``: hours of training may come before the first."""
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def save_weights(folder: Path, name: str, seed: int, student: Student, weights: Weights, about: dict[str, Any]) -> Path:
    """Keep a trained student as ``name-seed.safetensors`` in ``folder``; what is there is replaced.

    Raises ConfigError where ``folder`` cannot be written.
    """
    from safetensors.torch import save as packed

    path = folder / f"{name}-{seed}.safetensors"
    tensors = {key: w.detach().cpu().contiguous() for key, w in weights.items()}
    told = {"student": student.id, "fusion": student.fusion, "seed": seed, **about}
    with writing_to(path):
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, packed(tensors, metadata={"limbeck": json.dumps(told)}))
    return path


def _words(tensor: Tensor | None) -> str:
    return "not there" if tensor is None else "x".join(map(str, tensor.shape)) or "a number"
