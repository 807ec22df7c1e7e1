"""Two linear heads on what stands still: the students of retrieval by linear heads (docs/imagebind.md)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from limbeck.banks.frozen import frozen_encoders
from limbeck.banks.towers import build_towers
from limbeck.encoders import Kernels, Linear, Precision, Tower, TwoTower
from limbeck.encoders.frozen import FROZEN, frozen_kind
from limbeck.encoders.towers import TOWERS
from limbeck.errors import ConfigError, nearest

if TYPE_CHECKING:
    from limbeck.data.pairs import Pairs

__all__ = ["known_below", "linear_towers", "with_linear_heads"]


def known_below(name: str) -> None:
    """Raises ConfigError where ``name`` is neither an encoder that stands still nor a tower that can."""
    if name not in TOWERS and name not in FROZEN and ":" not in name:
        raise ConfigError(
            f"unknown encoder {name!r}", where="--students", hint=nearest(name, dict.fromkeys([*FROZEN, *TOWERS]))
        )


def linear_towers(
    pairs: Pairs,
    name: str,
    *,
    width: int,
    pretrained: str = "auto",
    channels: int = 128,
    kernels: Kernels = "literal",
    precision: Precision = "fp32",
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> TwoTower:
    """Linear heads of ``width`` on both modalities as ``name`` embeds them: an encoder of
    :mod:`limbeck.encoders.frozen`, or for media a frozen tower of :mod:`limbeck.encoders.towers`.

    Args:
        pretrained: where the encoder or tower starts: "auto", "none" or a file.
        channels, kernels: of ConvNets.

    Raises:
        ConfigError: an unknown name, or one that does not read these modalities.
        MissingDependencyError: weights are missing; says what to put where. FormatError: a file holds other weights.
    """
    known_below(name)
    if name in TOWERS and any(m.spatial for m in pairs.modalities.values()):
        towers = build_towers(
            pairs, tower=name, frozen=True, pretrained=pretrained, channels=channels, kernels=kernels,
            precision=precision, device=device, progress=progress,
        )  # fmt: skip
        return with_linear_heads(towers, width)
    frozen_kind(name)  # a tower of media, and here are vectors
    frozen = frozen_encoders(
        pairs, pairs.modalities, name, pretrained=pretrained, precision=precision, device=device, progress=progress
    )
    heads = {n: Linear(e.embedding, width) for n, e in frozen.encoders.items()}
    built = {n: Tower(name, heads[n], frozen.encoders[n], frozen.weights[n]) for n in pairs.modalities}
    return TwoTower(built).to(device)


def with_linear_heads(towers: TwoTower, width: int) -> TwoTower:
    """The same frozen parts, or vectors, under linear heads of ``width``.

    Raises ConfigError where a part that learns reads media: no head could stand on it.
    """
    built = {}
    for name, tower in towers.towers.items():
        if len(tower.trained.input_shape) != 1:
            raise ConfigError(f"{tower.name} learns, and linear heads stand on what does not", where="--protocol")
        head = Linear(math.prod(tower.trained.input_shape), width)
        built[name] = Tower(tower.name, head, tower.frozen, tower.constants).to(tower.device)
    return TwoTower(built)
