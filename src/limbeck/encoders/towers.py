"""The towers of pictures, by the names users say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.encoders.classic import VGG11, AlexNet, Classic, LeNet, ResNet18
from limbeck.errors import ConfigError, nearest

__all__ = ["TOWERS", "TowerKind", "tower_kind"]


CLASSIC: tuple[type[Classic], ...] = (LeNet, AlexNet, VGG11, ResNet18)


@dataclass(frozen=True)
class TowerKind:
    """What a name means.

    Args:
        description: one line.
        timm: name of the network in timm; None for the package's own.
        options: how it is asked for it.
        width: D; None where it hangs on the data.
        parameters: weights and tensors they are in, of a picture of three channels.
        learns: whether the tower itself can be trained; one that cannot has a head.
        classic: the network, where it is one of the package's own of a published width.
    """

    name: str
    description: str
    timm: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    width: int | None = None
    parameters: tuple[int, int] | None = None
    learns: bool = True
    classic: type[Classic] | None = None


TOWERS: dict[str, TowerKind] = {
    kind.name: kind
    for kind in (
        TowerKind(
            "nfnet", "NFNet-L0, pooled: the tower of MTT-VL, LoRS and MDM",
            "nfnet_l0", {"num_classes": 0}, 2304, (32_769_488, 219),
        ),
        TowerKind(
            "nf_resnet50", "NF-ResNet50 with its ImageNet classifier", "nf_resnet50", {}, 1000, (25_557_032, 161)
        ),
        TowerKind(
            "nf_regnet", "NF-RegNet-B1 with its ImageNet classifier", "nf_regnet_b1", {}, 1000, (10_223_984, 280)
        ),
        TowerKind(
            "vit", "ViT-Tiny/16 with its ImageNet classifier", "vit_tiny_patch16_224", {}, 1000, (5_717_416, 152)
        ),
        TowerKind("patches", "responses to patches of the train split, with a head that learns", learns=False),
        TowerKind("convnet", "the ConvNet of the class-wise methods; for small pictures and for sound"),
        *(TowerKind(net.name, f"{net.__name__} of the class-wise methods", classic=net) for net in CLASSIC),
    )
}  # fmt: skip
"""All [spec: the three papers' networks and what they count]; from "patches" on they need no download."""


def tower_kind(name: str) -> TowerKind:
    """What ``name`` means. Raises ConfigError where it means nothing."""
    if name not in TOWERS:
        raise ConfigError(f"unknown tower {name!r}", where="tower", hint=nearest(name, TOWERS))
    return TOWERS[name]
