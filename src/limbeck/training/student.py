"""What is trained: an encoder for each modality, and what stands on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.tower import digest_weights
from limbeck.errors import ConfigError
from limbeck.modalities import Feature, Modality
from limbeck.rng import stream
from limbeck.training.fusions import build_head
from limbeck.training.heads import FUSED, Head

__all__ = ["Student"]


@dataclass(frozen=True, eq=False)
class Student:
    """An encoder for each modality and a head on them.

    Args:
        encoders, modalities: by name, the same names in the same order.
        classes: C.
        fusion: "ensemble": a linear head a modality, which share nothing: their losses are added. "sum", "concat",
            "attention": one head and one output, called "fused", trained with plain cross entropy (AVDD, appendix D).
            "arcface": one classifier that the modalities share and train in turns (retrieval, docs/audio_visual.md).
        constants: by modality the weights of encoders that stand still; they are none of the student's weights. No
            gradient goes through such an encoder, and several students pass it together.
        lifted: modalities whose items come as what such an encoder makes of them, see :meth:`above`.
    """

    encoders: Mapping[str, Encoder]
    modalities: Mapping[str, Modality]
    classes: int
    fusion: str = "ensemble"
    constants: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    lifted: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in (*self.constants, *self.lifted):
            if name not in self.encoders or (name in self.lifted and name not in self.constants):
                raise ConfigError(f"a student whose encoder of {name} stands still, and has none such")
        if list(self.encoders) != list(self.modalities) or not self.encoders or self.classes < 1:
            raise ConfigError(
                f"a student with encoders for {list(self.encoders)}, items of {list(self.modalities)} and "
                f"{self.classes} classes"
            )
        _ = self.head  # a fusion that these encoders cannot have is told at once

    @cached_property
    def head(self) -> Head:
        """What stands on the encoders."""
        return build_head(self.fusion, self.encoders, self.modalities, self.classes)

    @cached_property
    def id(self) -> str:
        """The architecture, and what its students share."""
        heads = "heads" if self.fusion == "ensemble" else self.fusion
        return "+".join([*(f"{name}:{self._called(name)}" for name in self.encoders), f"{heads}{self.classes}"])

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what :meth:`logits` returns: the modalities, or "fused" alone."""
        return self.head.outputs

    @property
    def turns(self) -> list[tuple[str, ...]]:
        """The modalities of each training step within a batch."""
        return self.head.turns or [tuple(self.encoders)]

    @property
    def branches(self) -> list[tuple[str, ...]]:
        """The modalities in groups that share no weight; a head counts to the modality it stands on."""
        return [(name,) for name in self.encoders] if self.fusion == "ensemble" else [(*self.encoders, FUSED)]

    def init(self, seed: int, device: str | torch.device = "cpu") -> Weights:
        """Fresh weights, a function of ``seed``: default-initialised encoders, heads with weights N(0, 1e-4) [code].

        Encoders of a seed are the same under every fusion.
        """
        generators = {name: stream(seed, "student", "weights", name) for name in (*self.encoders, FUSED)}
        weights: Weights = {}
        for name, encoder in self.encoders.items():
            if name not in self.constants:
                for key, value in encoder.init(generators[name], device).items():
                    weights[f"{name}/{key}"] = value
        return weights | self.head.init(generators, device)

    def branch(self, weights: Mapping[str, Tensor], name: str) -> Weights:
        """The weights of one modality's encoder and, with fusion ensemble, its head."""
        return {key.removeprefix(f"{name}/"): w for key, w in weights.items() if key.startswith(f"{name}/")}

    def embed(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """For the modalities of ``batch``, (N, *shape) -> (N, D)."""
        lifted = self.lift(batch)
        return {
            name: lifted[name] if name in self.constants else encoder.embed(self.branch(weights, name), batch[name])
            for name, encoder in self.encoders.items()
            if name in batch
        }

    @torch.no_grad()
    def lift(self, batch: Mapping[str, Tensor], names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Items of ``names``, by default of all modalities, through the encoders that stand still: (N, *shape) ->
        (N, D). Others stay what they are."""
        still = self.constants.keys() - self.lifted
        wanted = still if names is None else still & set(names)
        return {
            name: self.encoders[name].embed(self.constants[name], x) if name in wanted else x
            for name, x in batch.items()
        }

    def above(self, names: Iterable[str] | None = None) -> Student:
        """The same student for items of ``names``, by default of all that can, which :meth:`lift` has seen."""
        lifted = frozenset(self.constants if names is None else names)
        vectors = {name: Feature(name=name, shape=(self.encoders[name].embedding,)) for name in lifted}
        found = dataclasses.replace(self, modalities={**self.modalities, **vectors}, lifted=lifted)
        found.__dict__["head"] = self.head  # which looks at what the modalities are
        return found

    def logits(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per modality (N, *shape) -> per output (N, C)."""
        return self.head.logits(weights, self.embed(weights, batch))

    def logits_many(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """S networks, each on its own batch: stacked weights, per modality (S, N, *shape) -> per output (S, N, C)."""
        if len(next(iter(batch.values()))) == 1:
            alone = {name: w[0] for name, w in weights.items()}
            return {k: v[None] for k, v in self.logits(alone, {name: x[0] for name, x in batch.items()}).items()}
        features = {
            name: self._together(name, batch[name])
            if name in self.constants
            else encoder.embed_many(self.branch(weights, name), batch[name])
            for name, encoder in self.encoders.items()
            if name in batch
        }
        return self.head.logits(weights, features)

    def losses(self, logits: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """For each of S students: per output (S, N, C), and (S, N) -> (S,), what training lowers."""
        return self.head.losses(logits, labels)

    def _together(self, name: str, x: Tensor) -> Tensor:
        """What an encoder that stands still makes of S batches: (S, N, *shape) -> (S, N, D)."""
        seen = self.lift({name: x.flatten(0, 1)})[name]
        return seen.reshape(*x.shape[:2], -1)

    def _called(self, name: str) -> str:
        shared = self.constants.get(name)
        return f"{self.encoders[name].id}@{digest_weights(shared)}" if shared else self.encoders[name].id
