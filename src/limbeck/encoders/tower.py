"""Two towers that meet in one space: what distillation by pairs trains, matches and looks through."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.flat import Layout
from limbeck.errors import ConfigError

__all__ = ["Tower", "TwoTower", "digest_weights"]


@dataclass(frozen=True, eq=False)
class Tower:
    """One branch: perhaps a part that never learns, then a part that does.

    What the frozen part makes of an item (:meth:`lift`) is the same at every step and in every network, so it is
    computed once where the item does not change.

    Args:
        name: as the user says it, such as "nfnet".
        trained: the part that learns.
        frozen: what stands below it, None for nothing; ``constants`` are its weights.
        start: pretrained weights of the trained part; None for fresh random ones in every network.
    """

    name: str
    trained: Encoder
    frozen: Encoder | None = None
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    start: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        if self.frozen is not None and self.trained.input_shape != (self.frozen.embedding,):
            raise ConfigError(f"{self.trained.id} does not stand on {self.frozen.id}")
        if self.start is not None and Layout.of(self.start) != self.layout:
            raise ConfigError(f"the weights to start from are not those of {self.trained.id}")

    @cached_property
    def id(self) -> str:
        """The architecture and all values that every network of it shares."""
        parts = [self.trained.id] if self.frozen is None else [self.frozen.id, self.trained.id]
        return ">".join([*parts, *(digest_weights(values) for values in (self.constants, self.start or {}) if values)])

    @property
    def pretrained(self) -> bool:
        """Whether every network starts from the same weights."""
        return self.start is not None

    @cached_property
    def layout(self) -> Layout:
        """Of the trained weights."""
        return Layout(self.trained.shapes)

    @property
    def embedding(self) -> int:
        """D."""
        return self.trained.embedding

    def init(self, generator: torch.Generator) -> Weights:
        """Trained weights to begin with, on the tower's device; fresh ones are drawn from the CPU ``generator``."""
        if self.start is not None:
            return dict(self.start)
        return self.trained.init(generator, self.device)

    def lift(self, x: Tensor) -> Tensor:
        """Items through the frozen part, (N, \\*shape) -> (N, F); items themselves where there is none."""
        return x if self.frozen is None else self.frozen.embed(self.constants, x)

    def embed(self, weights: Mapping[str, Tensor], lifted: Tensor, draw: torch.Generator | None = None) -> Tensor:
        """What :meth:`lift` gave -> (N, D), of any length; as in training (dropout) where there is a ``draw``."""
        if draw is None:
            return self.trained.embed(weights, lifted)
        return self.trained.embed_training(weights, lifted, draw)

    @cached_property
    def device(self) -> torch.device:
        """Where its shared values are."""
        found = next(iter({**self.constants, **(self.start or {})}.values()), None)
        return torch.device("cpu") if found is None else found.device

    def to(self, device: str | torch.device) -> Tower:
        """The same tower with its shared values on ``device``; fresh weights are drawn for it there."""
        moved = dataclasses.replace(
            self,
            constants={k: v.to(device) for k, v in self.constants.items()},
            start=None if self.start is None else {k: v.to(device) for k, v in self.start.items()},
        )
        moved.__dict__["device"] = torch.device(device)
        return moved


@dataclass(frozen=True, eq=False)
class TwoTower:
    """Two towers of one width D: by modality, the first and the second."""

    towers: Mapping[str, Tower]

    def __post_init__(self) -> None:
        widths = {name: tower.embedding for name, tower in self.towers.items()}
        if len(widths) != 2 or len(set(widths.values())) != 1:
            raise ConfigError(f"two towers of one width, these are {widths}")

    @cached_property
    def id(self) -> str:
        """Equal only where towers and all they share are."""
        return "+".join(f"{name}:{tower.id}" for name, tower in self.towers.items())

    @property
    def layouts(self) -> dict[str, Layout]:
        """Of the trained weights, by modality."""
        return {name: tower.layout for name, tower in self.towers.items()}

    def init(self, draw: Callable[[str], torch.Generator]) -> dict[str, Weights]:
        """By modality trained weights to begin with. ``draw`` gives each modality a stream of its own."""
        return {name: tower.init(draw(name)) for name, tower in self.towers.items()}

    def lift(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`Tower.lift`, for the modalities of ``batch``."""
        return {name: self.towers[name].lift(x) for name, x in batch.items()}

    def embed(
        self,
        weights: Mapping[str, Mapping[str, Tensor]],
        lifted: Mapping[str, Tensor],
        draw: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """By modality what :meth:`lift` gave -> (N, D), of any length; as in training where there is a ``draw``."""
        return {name: self.towers[name].embed(weights[name], x, draw) for name, x in lifted.items()}

    def to(self, device: str | torch.device) -> TwoTower:
        """See :meth:`Tower.to`."""
        return TwoTower({name: tower.to(device) for name, tower in self.towers.items()})


def digest_weights(values: Mapping[str, Tensor]) -> str:
    """Equal only where names and values are."""
    found = hashlib.sha256()
    for name in sorted(values):
        found.update(name.encode())
        found.update(values[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
