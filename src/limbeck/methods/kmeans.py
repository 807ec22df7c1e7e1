"""K-means: the real pairs that stand for clusters of all pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from limbeck.methods.base import Method

__all__ = ["KMeans"]


@dataclass(frozen=True)
class KMeans(Method):
    """Real pairs, one for each of as many clusters as the budget has: the one most like its cluster's mean, by cosine,
    among what two towers make of both halves after a short warm-up on the real pairs.

    What MDM starts from, alone, here on the towers that herding and K-center look through (docs/image_text.md). The
    first centres are drawn by the run's seed.

    Args:
        cluster: by both halves of a pair ("joint", as published), or by the first or the second modality alone.
    """

    name = "kmeans"
    title = "K-means medoids"
    paper = "MDM's initialisation (docs/image_text.md)"
    kind = "coreset"
    by = ("pairs",)
    modalities = (2, 2)
    defaults: ClassVar = {"init": "kmeans", "steps": 0, "factor": 1}

    cluster: Literal["joint", "first", "second"] = "joint"

    @property
    def selection_options(self) -> Mapping[str, Any]:
        return {"model": "warm-up", "cluster": self.cluster}
