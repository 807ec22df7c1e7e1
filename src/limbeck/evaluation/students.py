"""Architectures that are trained on a synthetic set, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from limbeck.encoders import Encoder, Kernels, Precision, encoders_for
from limbeck.errors import ConfigError, nearest
from limbeck.modalities import Modality
from limbeck.training import Student

__all__ = ["STUDENTS", "build_student"]

STUDENTS: dict[str, Callable[..., dict[str, Encoder]]] = {"convnet": encoders_for}
"""(modalities, channels=, kernels=, precision=) -> an encoder a modality. "convnet" is what the papers distil with."""


def build_student(
    name: str,
    modalities: Mapping[str, Modality],
    classes: int,
    *,
    channels: int = 128,
    kernels: Kernels = "literal",
    precision: Precision = "fp32",
) -> Student:
    """The student called ``name`` for these modalities. Raises ConfigError with the nearest known one."""
    if name not in STUDENTS:
        raise ConfigError(f"unknown student {name!r}", where="--students", hint=nearest(name, STUDENTS))
    encoders = STUDENTS[name](modalities, channels=channels, kernels=kernels, precision=precision)
    return Student(encoders, dict(modalities), classes)
