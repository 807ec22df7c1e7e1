"""One classifier that all modalities share, so that their embeddings can be compared: what retrieval students have."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import Weights
from limbeck.errors import ConfigError
from limbeck.training.heads import FUSED, HEAD_STD, Generators, Head

__all__ = ["Shared", "arcface"]

SCALE, MARGIN = 3.0, 0.2
"""AVDD, section on retrieval."""


def arcface(cosines: Tensor, labels: Tensor, scale: float = SCALE, margin: float = MARGIN) -> Tensor:
    """Logits of ArcFace: s cos(theta + m) for the true class, s cos(theta) for the others.

    cos(theta + m) = cos(theta) cos(m) - sin(theta) sin(m), taken as it stands for every angle, as the paper writes it.

    Args:
        cosines: (..., C) between embeddings and classes.
        labels: (...) of the true classes.
    """
    true = cosines.gather(-1, labels.unsqueeze(-1))
    # the root has no slope at zero: an angle of nothing is one of a ten-thousandth
    sine = (1 - true.square()).clamp(min=1e-8).sqrt()
    moved = true * math.cos(margin) - sine * math.sin(margin)
    return scale * cosines.scatter(-1, labels.unsqueeze(-1), moved)


class Shared(Head):
    """Cosines of unit embeddings and the unit rows of one C x D weight.

    Modalities take turns: within each batch, a step of the first and the classifier, then one of the second and the
    classifier.
    """

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        if len(set(widths.values())) > 1:
            raise ConfigError(f"a shared classifier needs embeddings of one width, these are {dict(widths)}")
        self.width, self.classes = next(iter(widths.values())), classes
        self.outputs = tuple(widths)
        self.turns = [(name,) for name in widths]
        self.narrowness = {FUSED: 1.0}  # cosines do not grow with the width

    def init(self, generators: Generators, device: str | torch.device) -> Weights:
        """N(0, 1e-4), like every head: so short a weight turns as fast as its gradient says at any width."""
        weight = torch.randn(self.classes, self.width, generator=generators[FUSED]) * HEAD_STD
        return {f"{FUSED}/head.weight": weight.to(device)}

    def logits(self, weights: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Cosines, (N, C) or (S, N, C)."""
        classes = F.normalize(weights[f"{FUSED}/head.weight"], dim=-1).transpose(-1, -2)
        return {name: F.normalize(x, dim=-1) @ classes for name, x in features.items()}

    def losses(self, logits: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        return super().losses({name: arcface(x, labels) for name, x in logits.items()}, labels)

    @property
    def parameters(self) -> int:
        return self.classes * self.width
