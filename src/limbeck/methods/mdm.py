"""MDM: real and synthetic pairs seen through networks merged from experts, matched on the sphere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, get_args

from limbeck.errors import ConfigError, nearest
from limbeck.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.synthetic import Budget

__all__ = ["MDM", "SeenPairs"]

RATES = {100: 100.0, 200: 100.0, 500: 1000.0}
"""By pairs, of images and texts alike (Table S3, Flickr8k)."""
Matching = Literal["spherical", "separate", "joint"]
Kernel = Literal["geodesic", "cosine", "chordal", "laplacian"]
Model = Literal["merged", "expert", "naive", "pretrained"]  # as in banks and losses, which import torch
View: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


class SeenPairs(Protocol):
    """Real and synthetic pairs through one network; embeddings of unit length by modality, of the same two."""

    @property
    def real(self) -> Mapping[str, Tensor]:
        """(R, D), without gradient; empty where the method matches nothing."""

    @property
    def synthetic(self) -> Mapping[str, Tensor]:
        """(S, D), with gradient."""


@dataclass(frozen=True)
class MDM(Method):
    """Multimodal distribution matching: each step looks at a batch of real and one of synthetic pairs through a network
    merged from two experts about the weights they started from.

    Contrast holds the synthetic pairs together. Agreement compares what the two embeddings of a pair share, their sum
    brought to unit length, and discrepancy what sets them apart, their difference: each by the kernel distance of the
    real cloud from the synthetic one. First items are the medoids of k-means over pairs, seen through a merged network.

    Defaults are the paper's. Its published script differs: ``kernel=cosine biased=false dropout=true``, and a real
    batch of 256. With a pool of K networks in place of fresh ones, and always with a frozen tower, the real side is
    computed once.

    Args:
        contrast, agreement, discrepancy: weights of the terms (1, 0.8, 0.8); a term of weight 0 is not computed.
        matching: what agreement and discrepancy weigh: sum and difference ("spherical"), the first and the second
            modality ("separate"), or both in one term of the joined embeddings, by the sum of the weights ("joint").
        kernel: "geodesic" as printed; "cosine" is what the script computes; "chordal" and "laplacian" are its ablation.
        bandwidth: sigma of the kernel.
        biased: with the diagonals in the kernel means, as printed.
        temperature: of the contrast.
        synthetic_batch: pairs of the set a step looks at, at most.
        model: through what: "merged"; or its ablations, one "expert", a "naive" average with the start, "pretrained".
        experts, expert_epochs: trained before the first step, and shared by runs.
        expert_rate, expert_batch: of the experts' plain SGD.
        experts_per_merge: two in all published runs.
        alpha: how far a merge goes from the start (0) to the experts (1).
        clamp: leave the start where experts disagree, instead of moving away from them.
        pool: how many networks are merged, once; 0 merges one at every step.
        dropout: of the heads, as in training.
        real_augment: the experts' augmentation on real pictures ("randaugment"), as the script reads its data; "auto"
            does so where a trained tower meets fresh networks, else what it gives can be kept.
        kmeans_model: what k-means looks through: a "merged" network (the script), or the "pretrained" one (the paper).
        cluster: by both halves of a pair ("joint"), or by the first or the second modality alone.
    """

    name = "mdm"
    title = "Multimodal distribution matching"
    paper = "MDM, Multimodal Distribution Matching for vision-language dataset distillation"
    objective = "pairs"
    by = ("pairs",)
    modalities = (2, 2)
    # Table S3; the steps to keep are chosen by the validation split, where the paper's are by the test scores
    defaults: ClassVar = {
        "init": "kmeans", "steps": 3000, "real_batch": 64, "momentum": 0.5, "clip": 1.0, "augment": "",
        "validate": "auto", "factor": 1,
    }  # fmt: skip

    contrast: float = 1.0
    agreement: float = 0.8
    discrepancy: float = 0.8
    matching: Matching = "spherical"
    kernel: Kernel = "geodesic"
    bandwidth: float = 0.5
    biased: bool = True
    temperature: float = 0.07
    synthetic_batch: int = 64
    model: Model = "merged"
    experts: int = 20
    expert_epochs: int = 10
    expert_rate: float = 0.1
    expert_batch: int = 128
    experts_per_merge: int = 2
    alpha: float = 0.5
    clamp: bool = False
    pool: int = 0
    dropout: bool = False
    real_augment: Literal["auto", "none", "randaugment"] = "auto"
    kmeans_model: Literal["merged", "pretrained"] = "merged"
    cluster: Literal["joint", "first", "second"] = "joint"

    def __post_init__(self) -> None:
        weights = (self.contrast, self.agreement, self.discrepancy)
        if not all(0 <= w < math.inf for w in weights) or not any(weights):
            raise ConfigError(f"mdm's weights are {weights}", hint="None is below 0 and one at least is above.")
        for name, known in (("matching", Matching), ("kernel", Kernel), ("model", Model)):
            word = getattr(self, name)
            if word not in get_args(known):
                raise ConfigError(
                    f"unknown {name} {word!r}", where=f"method.{name}", hint=nearest(str(word), get_args(known))
                )
        for name in ("synthetic_batch", "experts", "expert_epochs", "expert_batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", where=f"method.{name}", hint="It is 1 or more.")
        for name in ("bandwidth", "temperature", "expert_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}", where=f"method.{name}", hint="It is above 0.")
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha is {self.alpha}", where="method.alpha", hint="It is from 0 to 1.")
        if not 2 <= self.experts_per_merge <= self.experts * self.expert_epochs:
            raise ConfigError(
                f"{self.experts_per_merge} experts a merge, of {self.experts} with {self.expert_epochs} epochs each",
                where="method.experts_per_merge",
                hint="It is 2 or more, up to experts x expert_epochs.",
            )
        if self.pool < 0:
            raise ConfigError(f"pool is {self.pool}", where="method.pool", hint="It is 0 (fresh networks) or more.")
        if self.pool and self.real_augment == "randaugment":
            raise ConfigError(
                "a pool keeps what its networks make of the real pairs, so they cannot be augmented anew",
                where="method.real_augment", hint="Use pool=0, or leave it out.",
            )  # fmt: skip

    @classmethod
    def published(cls, budget: Budget) -> Mapping[str, Any]:
        known = min(RATES, key=lambda n: abs(math.log((budget.pairs or 100) / n)))
        return {"lr": RATES[known]}

    @property
    def selection_options(self) -> Mapping[str, Any]:
        return {"model": self.kmeans_model, "cluster": self.cluster}

    @property
    def matches(self) -> bool:
        """Whether its loss looks at real pairs."""
        return self.agreement + self.discrepancy > 0

    def loss(self, seen: SeenPairs) -> dict[str, Tensor]:
        from limbeck.losses import contrastive

        a, b = seen.synthetic.values()
        terms = {}
        if self.contrast:
            terms["contrast"] = self.contrast * contrastive.info_nce(a, b, temperature=self.temperature)
        if self.matching == "joint" and self.matches:
            terms["joint"] = (self.agreement + self.discrepancy) * self._distance(_joined, seen)
            return terms
        agree, differ = _views(self.matching)
        if self.agreement:
            terms["agreement"] = self.agreement * self._distance(agree, seen)
        if self.discrepancy:
            terms["discrepancy"] = self.discrepancy * self._distance(differ, seen)
        return terms

    def _distance(self, view: View, seen: SeenPairs) -> Tensor:
        from limbeck.losses import spherical

        real, synthetic = (view(*side.values()) for side in (seen.real, seen.synthetic))
        return spherical.kernel_distance(
            real, synthetic, kernel=self.kernel, bandwidth=self.bandwidth, biased=self.biased
        )


def _joined(a: Tensor, b: Tensor) -> Tensor:
    import torch

    return torch.cat((a, b), dim=-1) / 2**0.5


def _views(matching: Matching) -> tuple[View, View]:
    from limbeck.losses import spherical

    if matching == "separate":
        return (lambda *both: both[0]), (lambda *both: both[1])
    return spherical.agreement, spherical.discrepancy
