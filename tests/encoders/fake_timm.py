"""timm as it is not: one small network, and here without a torchvision."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import nn

from limbeck.encoders.towers import TowerKind


class FakeTimm:
    """Its network overwrites its own activations, as timm's do; without classes it ends in 16 numbers."""

    def __init__(self) -> None:
        self.norm = False
        self.settings: dict[str, Any] = {
            "hf_hub_id": "owner/tiny", "url": "https://host/tiny.pth", "classifier": "head",
        }  # fmt: skip

    def create_model(self, name: str, *, pretrained: bool, num_classes: int = 5) -> nn.Module:
        assert (name, pretrained) == ("tiny_net", False)
        made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        if num_classes:
            made.add_module("head", nn.Linear(16, num_classes))
        if self.norm:
            made.add_module("norm", nn.BatchNorm1d(5))
        return made

    def get_pretrained_cfg(self, name: str) -> Any:
        assert name == "tiny_net"
        return SimpleNamespace(to_dict=lambda: self.settings)


TINY = TowerKind("tiny", "a small network", "tiny_net", {}, 5, (197, 4))
HEADLESS = TowerKind("tiny", "the same without classes", "tiny_net", {"num_classes": 0}, 16, (112, 2))
