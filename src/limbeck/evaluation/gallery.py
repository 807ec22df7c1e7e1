"""Real pairs that networks are asked about: IR@K and TR@K of any two modalities, and what chance gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from limbeck.data.pairs import Pairs
from limbeck.encoders import Weights
from limbeck.encoders.tower import TwoTower
from limbeck.evaluation.recall import CUTS, recall

__all__ = ["MEAN", "Gallery", "recall_chances"]

MEAN = "Mean"
CHUNK, GPU_CHUNK = 100, 512
"""Items a forward: small enough for a processor's caches, large enough for a GPU."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """The pairs of a split before networks of the same towers. What no network changes is computed once: what frozen
    parts make of the items, and vectors."""

    pairs: Pairs
    towers: TwoTower
    device: str | torch.device = "cpu"

    @property
    def items(self) -> int:
        """I, the items of the first modality."""
        return len(self.pairs.items)

    @property
    def names(self) -> dict[str, str]:
        """What :func:`recall` calls a way -> what results call it: for pictures and text the papers' IR and TR, else
        "audio->image R": sound asks, pictures are ranked."""
        (first, a), (second, b) = self.pairs.modalities.items()
        if (a.kind, b.kind) == ("image", "text"):
            return {"IR": "IR", "TR": "TR"}
        return {"IR": f"{second}->{first} R", "TR": f"{first}->{second} R"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """In the order of every table."""
        return (*(f"{name}@{k}" for name in self.names.values() for k in CUTS), MEAN)

    @torch.no_grad()
    def scores(self, weights: Mapping[str, Weights]) -> dict[str, float]:
        """Percent by metric of one network, weights by modality; chance for one to which all items of a modality are
        the same.

        Raises NumericsError where an embedding is not finite.
        """
        first, second = (
            torch.cat([tower.embed(weights[name], part) for part in self._parts(name)])
            for name, tower in ((name, self.towers.towers[name]) for name in self.pairs.modalities)
        )
        found = recall(first, second, self._owner.to(first.device))
        if _alike(first) or _alike(second):  # every score of a row is a tie, which would count as right
            return dict(self.chances)
        return self._named(found)

    @cached_property
    def chances(self) -> dict[str, float]:
        """What random orders get, by metric: the expectation, exactly."""
        return self._named(recall_chances(self._owner.bincount(minlength=self.items)))

    @cached_property
    def _owner(self) -> Tensor:
        return torch.from_numpy(self.pairs.owner.copy())

    @cached_property
    def _kept(self) -> dict[str, list[Tensor]]:
        """By modality what is the same for every network, in chunks; a picture that a trained tower sees is not kept,
        it lies in the store."""
        still = [n for n, m in self.pairs.modalities.items() if self.towers.towers[n].frozen or not m.spatial]
        return {name: list(self._read(name)) for name in still}

    def _parts(self, name: str) -> Iterator[Tensor]:
        return iter(self._kept[name]) if name in self._kept else self._read(name)

    def _read(self, name: str) -> Iterator[Tensor]:
        """Chunks of one modality through the frozen part, in their order."""
        values = self.pairs.firsts if name == self.pairs.first else self.pairs.seconds
        count = self.items if name == self.pairs.first else len(self.pairs)
        size = CHUNK if torch.device(self.device).type == "cpu" else GPU_CHUNK
        for start in range(0, count, size):
            yield self.towers.towers[name].lift(values(range(start, min(count, start + size)), self.device))

    def _named(self, found: Mapping[str, float]) -> dict[str, float]:
        def name(metric: str) -> str:
            way, at, k = metric.partition("@")
            return self.names.get(way, way) + at + k

        return {name(metric): value for metric, value in found.items()}


def _alike(embeddings: Tensor) -> bool:
    return bool((embeddings == embeddings[0]).all())


def recall_chances(counts: Tensor) -> dict[str, float]:
    """IR@K, TR@K and their mean of random orders, exactly: (I,) captions of each image, any numbers from 1 -> percent.

    A caption's image is among the first K of I with probability K / I. Of C captions, none of an image's n is among the
    first K with probability C(C - n, K) / C(C, K), averaged over images.
    """
    images, total = len(counts), int(counts.sum())
    missed = torch.ones(images, dtype=torch.float64)
    texts = []
    for place in range(max(CUTS)):
        # beyond the last caption nothing more can be found
        missed = missed * (total - counts - place).clamp(min=0) / max(1, total - place)
        texts.append(100 * (1 - float(missed.mean())))
    found = {f"IR@{k}": 100 * min(k, images) / images for k in CUTS} | {f"TR@{k}": texts[k - 1] for k in CUTS}
    return found | {MEAN: sum(found.values()) / len(found)}
