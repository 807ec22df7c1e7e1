"""What is trained: an encoder and a head for each modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Encoder, Weights, draw_uniform
from limbeck.errors import ConfigError
from limbeck.modalities import Modality
from limbeck.rng import stream

__all__ = ["Student"]

HEAD_STD = 1e-4
"""Of a head's weights [code]."""


@dataclass(frozen=True, eq=False)
class Student:
    """An encoder and a linear head for each modality. The branches share nothing: their losses are added.

    Args:
        encoders, modalities: by name, the same names in the same order.
        classes: C.
    """

    encoders: Mapping[str, Encoder]
    modalities: Mapping[str, Modality]
    classes: int

    def __post_init__(self) -> None:
        if list(self.encoders) != list(self.modalities) or self.classes < 1:
            raise ConfigError(
                f"a student with encoders for {list(self.encoders)}, items of {list(self.modalities)} and "
                f"{self.classes} classes"
            )

    @property
    def id(self) -> str:
        """The architecture."""
        return "+".join([*(f"{name}:{e.id}" for name, e in self.encoders.items()), f"heads{self.classes}"])

    def init(self, seed: int, device: str | torch.device = "cpu") -> Weights:
        """Fresh weights, a function of ``seed``: default-initialised encoders, heads with weights N(0, 1e-4) [code]."""
        weights: Weights = {}
        for name, encoder in self.encoders.items():
            generator = stream(seed, "student", "weights", name)
            for key, value in encoder.init(generator, device).items():
                weights[f"{name}/{key}"] = value
            width = encoder.embedding
            head = torch.randn(self.classes, width, generator=generator) * HEAD_STD
            weights[f"{name}/head.weight"] = head.to(device)
            weights[f"{name}/head.bias"] = draw_uniform((self.classes,), width, generator, device)
        return weights

    def branch(self, weights: Mapping[str, Tensor], name: str) -> Weights:
        """The weights of one modality's encoder and head."""
        return {key.removeprefix(f"{name}/"): w for key, w in weights.items() if key.startswith(f"{name}/")}

    def logits(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per modality (N, *shape) -> (N, C)."""
        found = {}
        for name, encoder in self.encoders.items():
            own = self.branch(weights, name)
            found[name] = F.linear(encoder.embed(own, batch[name]), own["head.weight"], own["head.bias"])
        return found

    def losses(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Cross entropy summed over modalities for each of S students: (S, N, *shape) and (S, N) -> (S,)."""
        if len(labels) == 1:
            alone = {name: w[0] for name, w in weights.items()}
            logits = [v[None] for v in self.logits(alone, {name: x[0] for name, x in batch.items()}).values()]
        else:
            logits = []
            for name, encoder in self.encoders.items():
                own = self.branch(weights, name)
                features = encoder.embed_many(own, batch[name])
                logits.append(
                    torch.baddbmm(own["head.bias"].unsqueeze(1), features, own["head.weight"].transpose(1, 2))
                )
        each = [F.cross_entropy(v.transpose(1, 2), labels, reduction="none").mean(1) for v in logits]
        return torch.stack(each).sum(0)
