"""How networks are trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from limbeck.errors import ConfigError, nearest

__all__ = ["Optimiser", "Recipe"]

Optimiser = Literal["adam", "sgd"]


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
        rate: where given, of every weight, heads too, in place of ``rates`` and ``head_rate``.
        warm_up: epochs in which the rates rise in a straight line, step by step, up to their values.
        drops: before which epochs, counted from 0, every rate is multiplied by a tenth.
        optimiser: "adam" with ``betas``, "sgd" with ``momentum``.
        weight_decay: L2, inside the optimiser's gradient.
        clip: the largest norm of a gradient, of each network and each of its branches by itself, so that training a
            pair of modalities stays training each alone.
        augment: DSA families, drawn per item; one family a batch and modality. Empty for none.
    """

    epochs: int = 30
    batch: int = 32
    rates: Mapping[str, float] = field(
        default_factory=lambda: {"audio": 1e-3, "image": 1e-4, "depth": 1e-4, "text": 1e-3, "feature": 1e-3}
    )
    head_rate: float = 1e-4
    head_rule: Literal["width", "plain"] = "width"
    rate: float | None = None
    warm_up: int = 0
    drops: tuple[int, ...] = (10, 20)
    optimiser: Optimiser = "adam"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None
    augment: tuple[str, ...] = ("color", "crop", "cutout", "flip", "scale", "rotate")

    def __post_init__(self) -> None:
        known = get_args(Optimiser)
        if self.optimiser not in known:
            raise ConfigError(
                f"unknown optimiser {self.optimiser!r}", where="optimiser", hint=nearest(self.optimiser, known)
            )
        for name, value in (("rate", self.rate), ("clip", self.clip)):
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value}", where=name, hint="It is above 0.")
        if self.warm_up < 0 or not 0 <= self.momentum < 1:
            raise ConfigError(f"a warm-up of {self.warm_up} epochs and momentum {self.momentum}")

    def factor(self, epoch: int, step: int, steps: int) -> float:
        """What the rates are multiplied by at ``step`` of the ``steps`` of ``epoch``, all counted from 0."""
        if epoch >= self.warm_up:
            return self.decay(epoch)
        return self.decay(epoch) * (epoch * steps + step + 1) / (self.warm_up * steps)

    def decay(self, epoch: int) -> float:
        """What the rates are multiplied by in ``epoch``."""
        return float(0.1 ** sum(epoch >= drop for drop in self.drops))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**dataclasses.asdict(self), "rates": dict(self.rates)}
