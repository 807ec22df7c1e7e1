"""How two towers are trained on pairs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from limbeck.errors import ConfigError, nearest
from limbeck.training.recipe import Optimiser

__all__ = ["PairRecipe"]

PairLoss = Literal["info_nce", "weighted_bce"]
PairAugment = Literal["none", "dsa", "randaugment"]
Batches = Literal["shuffled", "subsets"]


@dataclass(frozen=True)
class PairRecipe:
    """How two towers are trained; the defaults are MDM's evaluation without its drop.

    Args:
        epochs, batch: the last, smaller batch counts too, unless ``drop_last``; a set smaller than a batch is one.
        rates: of both towers, or by modality.
        drops: before which epochs, counted from 0, every rate is multiplied by a tenth.
        optimiser: plain SGD, or with ``momentum``; or Adam, which listens to no momentum.
        weight_decay: L2, inside the optimiser's gradient.
        temperature: tau.
        loss: "info_nce", the targets being the identity or a similarity's rows; "weighted_bce" is LoRS's.
        augment: of the first modality, where it is spatial, drawn for each item: "dsa", one family a batch;
            "randaugment", the transform of :mod:`limbeck.training.transform`.
        dropout: whether heads drop out while they are trained.
        batches: "shuffled" goes through all pairs once an epoch; "subsets" takes as many batches, each a random subset
            of its own [code of LoRS].
        replay: half of each ``batch`` is of a second set of pairs: as many as of the first, drawn anew for each batch.
            An epoch goes through the first set.
    """

    epochs: int = 100
    batch: int = 64
    rates: float | Mapping[str, float] = 0.1
    drops: tuple[int, ...] = ()
    momentum: float = 0.9
    weight_decay: float = 5e-4
    temperature: float = 0.07
    loss: PairLoss = "info_nce"
    augment: PairAugment = "none"
    dropout: bool = True
    batches: Batches = "shuffled"
    drop_last: bool = False
    optimiser: Optimiser = "sgd"
    replay: bool = False

    def __post_init__(self) -> None:
        for name, kinds in (
            ("loss", PairLoss), ("augment", PairAugment), ("batches", Batches), ("optimiser", Optimiser),
        ):  # fmt: skip
            word, known = getattr(self, name), get_args(kinds)
            if word not in known:
                raise ConfigError(f"unknown {name} {word!r}", where=name, hint=nearest(str(word), known))
        if self.epochs < 1 or self.batch < 1:
            raise ConfigError(f"{self.epochs} epochs of batches of {self.batch}", hint="Both are 1 or more.")
        given = self.rates.values() if isinstance(self.rates, Mapping) else [self.rates]
        if not all(math.isfinite(rate) and rate >= 0 for rate in given):
            raise ConfigError(f"learning rates of {self.rates}", where="rates", hint="They are not below 0.")
        if not 0 <= self.momentum < 1 or not self.weight_decay >= 0 or not self.temperature > 0:
            raise ConfigError(
                f"momentum {self.momentum}, weight decay {self.weight_decay} and temperature {self.temperature}",
                hint="Momentum is from 0 to below 1, weight decay not below 0, the temperature above 0.",
            )
        if self.replay and self.batch % 2:
            raise ConfigError(f"half of a batch of {self.batch} pairs", where="replay", hint="Take an even batch.")

    @property
    def own(self) -> int:
        """Pairs of the first set in a batch."""
        return self.batch // 2 if self.replay else self.batch

    @property
    def cuttable(self) -> bool:
        """Whether trainings of one epoch after the other are the training of all: the optimiser remembers nothing."""
        return self.optimiser == "sgd" and not self.momentum

    def rate(self, modality: str) -> float:
        """Of a tower before any drop. Raises ConfigError where there is none."""
        if not isinstance(self.rates, Mapping):
            return self.rates
        if modality not in self.rates:
            raise ConfigError(f"the recipe has no learning rate for {modality!r}", where="rates")
        return self.rates[modality]

    def decay(self, epoch: int) -> float:
        """What the rates are multiplied by in ``epoch``."""
        return float(0.1 ** sum(epoch >= drop for drop in self.drops))

    def steps(self, pairs: int) -> int:
        """Batches of an epoch over ``pairs`` pairs."""
        size = min(self.own, pairs)
        return pairs // size if self.drop_last else math.ceil(pairs / size)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready. What came later than the caches that are keyed by it stands there only where it is used."""
        rates = dict(self.rates) if isinstance(self.rates, Mapping) else self.rates
        found = dataclasses.asdict(dataclasses.replace(self, rates=0.0))
        for name, first in (("optimiser", "sgd"), ("replay", False)):
            if found[name] == first:
                del found[name]
        return {**found, "rates": rates, "drops": list(self.drops)}
