"""DM: match class means in the eyes of random networks, each modality by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from limbeck.losses import means
from limbeck.methods.base import Group, Method

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DM"]


@dataclass(frozen=True)
class DM(Method):
    """Distribution matching: a fresh random encoder a modality and step, squared distance of real and synthetic class
    means.

    Settings as in AVDD's tables (docs/audio_visual.md): random real initial items, factor 1, rate 0.2, real batch
    128, 5000 steps. The original paper has rate 1.0, batch 256, 20,000 iterations.
    """

    name = "dm"
    title = "Distribution matching"
    paper = "Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023"
    by: ClassVar[tuple[str, ...]] = ("class", "pairs")
    defaults: ClassVar = {"init": "random", "factor": 1}

    def loss(self, group: Group) -> dict[str, Tensor]:
        return {"dm": means.distribution_matching(group.real, group.synthetic)}
