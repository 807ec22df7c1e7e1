"""Batches of real and of synthetic pairs through a network that is drawn for the step: MDM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.engine.merging import merged_pool
from limbeck.engine.objectives.base import Objective
from limbeck.engine.paired import paired
from limbeck.engine.ranks import Ranks
from limbeck.engine.real_pairs import RealEmbeddings
from limbeck.rng import numpy_stream, stream

if TYPE_CHECKING:
    from limbeck.encoders.base import Weights
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["PairMatching", "Seen"]

CHUNK = 64
"""Synthetic pairs whose graph is held at once, unless the run's ``group`` says how many: the papers' batch in one."""


@dataclass(frozen=True)
class Seen:
    """What a method sees at one step: by modality (R, D) and (S, D) embeddings of unit length."""

    real: Mapping[str, Tensor]
    synthetic: Mapping[str, Tensor]


class PairMatching(Objective):
    """Each step draws a network, a batch of real pairs without replacement, and one of the set's: the first rows of a
    permutation [code].

    Losses see embeddings only. So the synthetic pairs go through the network without a graph, chunk by chunk, the loss
    gives the slope at each embedding, and each chunk goes through again with its own slopes: the gradient of the whole
    batch in the memory of a chunk. A batch of one chunk goes through once.

    Args:
        progress: show the training of experts and the making of towers that are not there yet.
        rehearse: take untrained ones.
        ranks: each embeds chunks of its own, real pairs too, and the loss sees all. What is dropped out hangs on the
            chunk, so under dropout ranks share the chunks there are, and the real side is each one's.
    """

    def __init__(
        self,
        planned: Plan,
        synthetic: SyntheticSet,
        *,
        progress: bool = False,
        rehearse: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(planned, synthetic, ranks)
        method: Any = planned.method  # has MDM's settings
        with self.ranks.in_turn():
            found = paired(planned, progress=progress, rehearse=rehearse)
            self.pairs, self.towers = found.pairs, found.towers
            self.networks = merged_pool(planned, found, progress=progress, rehearse=rehearse)
        self.batch: int = min(method.synthetic_batch, len(synthetic))
        self.chunk = planned.settings.group or CHUNK
        if self.ranks.many and not method.dropout:
            self.chunk = min(self.chunk, -(-self.batch // self.ranks.size))
        first = self.pairs.modalities[self.pairs.first]
        trained = self.towers.towers[first.name].frozen is None and not method.pool
        wanted = {"auto": first.spatial and trained, "none": False, "randaugment": first.spatial}
        self.real_side = (
            RealEmbeddings(
                self.pairs, self.towers, self.device,
                pool=method.pool, augment=wanted[method.real_augment], progress=progress, rehearse=rehearse,
                ranks=self.ranks,
            )
            if method.matches
            else None
        )  # fmt: skip

    @property
    def items_per_step(self) -> int:
        return self.batch

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        network = self.networks.at(self._stream(step, "network"))
        real = {}
        if self.real_side is not None:
            real = self.real_side.of(
                network, self.real_pairs(step),
                dropout=self._dropout(step, "real"), augment=self._stream(step, "augment"),
            )  # fmt: skip
        terms = self.match(step, network.weights, units(real), self.synthetic_pairs(step))
        yield self.ranks.once({name: term.detach() for name, term in terms.items()})

    def real_pairs(self, step: int) -> Tensor:
        """(R,) the real pairs of ``step``."""
        draw = numpy_stream(self.settings.seed, "step", step, "real pairs")
        size = min(self.settings.real_batch, len(self.pairs))
        return torch.from_numpy(draw.choice(len(self.pairs), size, replace=False))

    def synthetic_pairs(self, step: int) -> Tensor:
        """(S,) the set's pairs of ``step``."""
        return torch.randperm(len(self.synthetic), generator=self._stream(step, "synthetic pairs"))[: self.batch]

    def match(
        self, step: int, weights: Mapping[str, Weights], real: Mapping[str, Tensor], rows: Tensor
    ) -> dict[str, Tensor]:
        """The loss terms; adds their gradient to the set's, of this rank's chunks."""
        chunks = rows.to(self.device).split(self.chunk)
        own = self.ranks.share(range(len(chunks)))
        held = [self._leaves(chunks[i]) for i in own]
        with torch.set_grad_enabled(len(own) == 1):
            through = [self._embedded(step, i, weights, leaves) for i, leaves in zip(own, held, strict=True)]
        features = {name: x.detach().requires_grad_() for name, x in self._of_all(through, chunks).items()}
        terms = self.method.loss(Seen(real, units(features)))
        torch.stack(list(terms.values())).sum().backward()
        slopes = {name: x.grad.split(self.chunk) for name, x in features.items() if x.grad is not None}
        for i, leaves, once in zip(own, held, through, strict=True):
            again = once if len(own) == 1 else self._embedded(step, i, weights, leaves)
            torch.autograd.backward([again[name] for name in slopes], [x[i] for x in slopes.values()])
            for name, leaf in leaves.items():
                total = self.synthetic.values[name].grad
                assert total is not None
                if leaf.grad is not None:
                    total[chunks[i]] += leaf.grad
        return terms

    def _of_all(self, through: Sequence[Mapping[str, Tensor]], chunks: Sequence[Tensor]) -> dict[str, Tensor]:
        """By modality (S, D), of which each rank has some chunks."""
        if not self.ranks.many:
            return {name: torch.cat([each[name] for each in through]) for name in self.towers.towers}
        whole = {
            name: torch.zeros(sum(map(len, chunks)), tower.embedding, device=self.device)
            for name, tower in self.towers.towers.items()
        }
        for name, x in whole.items():
            places = self.ranks.share(x.split([len(chunk) for chunk in chunks]))
            for place, each in zip(places, through, strict=True):
                place.copy_(each[name].detach())
        self.ranks.sum_(whole.values())
        return whole

    def notes(self) -> list[str]:
        return [] if self.real_side is None else self.real_side.notes()

    def _leaves(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: value.detach()[rows].requires_grad_() for name, value in self.synthetic.values.items()}

    def _embedded(
        self, step: int, chunk: int, weights: Mapping[str, Weights], leaves: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """(n, D) by modality, in the towers' order. Both times a chunk goes through, the same is dropped out."""
        values = {name: leaves[name] for name in self.towers.towers}
        return self.towers.embed(weights, self.towers.lift(values), self._dropout(step, "synthetic", chunk))

    def _dropout(self, step: int, *names: str | int) -> torch.Generator | None:
        method: Any = self.method
        return self._stream(step, "dropout", *names) if method.dropout else None

    def _stream(self, step: int, *names: str | int) -> torch.Generator:
        return stream(self.settings.seed, "step", step, *names)


def units(embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By modality (n, D), brought to unit length."""
    return {name: F.normalize(x, dim=-1) for name, x in embeddings.items()}
