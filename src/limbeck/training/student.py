"""What is trained: an encoder for each modality, and what stands on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from limbeck.encoders.base import Encoder, Weights
from limbeck.errors import ConfigError
from limbeck.modalities import Modality
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
    """

    encoders: Mapping[str, Encoder]
    modalities: Mapping[str, Modality]
    classes: int
    fusion: str = "ensemble"

    def __post_init__(self) -> None:
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

    @property
    def id(self) -> str:
        """The architecture."""
        heads = "heads" if self.fusion == "ensemble" else self.fusion
        return "+".join([*(f"{name}:{e.id}" for name, e in self.encoders.items()), f"{heads}{self.classes}"])

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
            for key, value in encoder.init(generators[name], device).items():
                weights[f"{name}/{key}"] = value
        return weights | self.head.init(generators, device)

    def branch(self, weights: Mapping[str, Tensor], name: str) -> Weights:
        """The weights of one modality's encoder and, with fusion ensemble, its head."""
        return {key.removeprefix(f"{name}/"): w for key, w in weights.items() if key.startswith(f"{name}/")}

    def embed(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """For the modalities of ``batch``, (N, *shape) -> (N, D)."""
        return {
            name: encoder.embed(self.branch(weights, name), batch[name])
            for name, encoder in self.encoders.items()
            if name in batch
        }

    def logits(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per modality (N, *shape) -> per output (N, C)."""
        return self.head.logits(weights, self.embed(weights, batch))

    def logits_many(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """S networks, each on its own batch: stacked weights, per modality (S, N, *shape) -> per output (S, N, C)."""
        if len(next(iter(batch.values()))) == 1:
            alone = {name: w[0] for name, w in weights.items()}
            return {k: v[None] for k, v in self.logits(alone, {name: x[0] for name, x in batch.items()}).items()}
        features = {
            name: encoder.embed_many(self.branch(weights, name), batch[name])
            for name, encoder in self.encoders.items()
            if name in batch
        }
        return self.head.logits(weights, features)

    def losses(self, logits: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """For each of S students: per output (S, N, C), and (S, N) -> (S,), what training lowers."""
        return self.head.losses(logits, labels)
