"""How networks are trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How networks are trained; the defaults are the audio-visual papers' (docs/audio_visual.md).

    Args:
        epochs, batch: 30 epochs of batches of 32; the last, smaller batch counts too.
        rates: learning rate of an encoder by the kind of its modality. Depth is trained like a picture and vectors like
            sound [choice].
        head_rate: of the linear heads.
        head_rule: "width" multiplies it by 6272 / D, because a head adds up D features and the papers' rate was chosen
            for 6272 of them; "plain" leaves it.
        drops: before which epochs, counted from 0, every rate is multiplied by a tenth.
        weight_decay: L2, inside Adam's gradient.
        augment: DSA families, drawn per item; one family a batch and modality. Empty for none.
    """

    epochs: int = 30
    batch: int = 32
    rates: Mapping[str, float] = field(
        default_factory=lambda: {"audio": 1e-3, "image": 1e-4, "depth": 1e-4, "text": 1e-3, "feature": 1e-3}
    )
    head_rate: float = 1e-4
    head_rule: Literal["width", "plain"] = "width"
    drops: tuple[int, ...] = (10, 20)
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    augment: tuple[str, ...] = ("color", "crop", "cutout", "flip", "scale", "rotate")

    def decay(self, epoch: int) -> float:
        """What the rates are multiplied by in ``epoch``."""
        return float(0.1 ** sum(epoch >= drop for drop in self.drops))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**dataclasses.asdict(self), "rates": dict(self.rates)}
