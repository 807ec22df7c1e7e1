"""Architectures that are trained on a synthetic set, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.encoders import Encoder, Kernels, Precision, encoders_for
from limbeck.encoders.classic import VGG11, AlexNet, Classic, LeNet, ResNet18, classic_encoders
from limbeck.errors import ConfigError, nearest
from limbeck.modalities import Modality
from limbeck.training import Student

__all__ = ["STUDENTS", "Architecture", "build_student"]


@dataclass(frozen=True)
class Architecture:
    """An architecture that can be trained.

    Args:
        description: one line.
        build: (modalities, channels=, kernels=, precision=) -> an encoder a modality.
    """

    description: str
    build: Callable[..., dict[str, Encoder]]


def _classic(description: str, net: type[Classic]) -> Architecture:
    def build(modalities: Mapping[str, Modality], *, precision: Precision, **_: Any) -> dict[str, Encoder]:
        return classic_encoders(net, modalities, precision=precision)  # of the published width, without fused kernels

    return Architecture(description, build)


def _imagebind(description: str, size: str) -> Architecture:
    def build(modalities: Mapping[str, Modality], *, precision: Precision, **_: Any) -> dict[str, Encoder]:
        from limbeck.encoders.imagebind import imagebind_encoders

        return imagebind_encoders(modalities, size, precision)

    return Architecture(description, build)


STUDENTS: dict[str, Architecture] = {
    "convnet": Architecture("ConvNet, with which the papers distil: blocks of convolution and pool", encoders_for),
    "lenet": _classic("LeNet: two convolutions and two hidden layers without norm, 84 features", LeNet),
    "alexnet": _classic("AlexNet: five convolutions without norm, 3072 features", AlexNet),
    "vgg11": _classic("VGG11: eight convolutions with instance norm, 512 features", VGG11),
    "resnet18": _classic("ResNet18: eight residual blocks with instance norm, 512 features", ResNet18),
    "imagebind-tiny": _imagebind("ImageBind's architecture, tiny; of pictures, depth and sound", "tiny"),
    "imagebind-base": _imagebind("ImageBind's architecture at the size of a base model: for a GPU", "base"),
}
"""All but the ConvNet have a width of their own, whatever ``channels`` says (docs/audio_visual.md)."""


def build_student(
    name: str,
    modalities: Mapping[str, Modality],
    classes: int,
    *,
    channels: int = 128,
    kernels: Kernels = "literal",
    precision: Precision = "fp32",
    fusion: str = "ensemble",
) -> Student:
    """The student called ``name`` for these modalities.

    Raises ConfigError with the nearest known name, and where its encoders cannot have this fusion or take these items.
    """
    if name not in STUDENTS:
        raise ConfigError(f"unknown student {name!r}", where="--students", hint=nearest(name, STUDENTS))
    encoders = STUDENTS[name].build(modalities, channels=channels, kernels=kernels, precision=precision)
    return Student(encoders, dict(modalities), classes, fusion)
