"""The real side of a step by pairs: embeddings that need no gradient, and are computed as seldom as they can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.banks.merged_pool import LookedThrough, home
from limbeck.engine.ranks import Ranks
from limbeck.training.pair_data import Lifted, PairData, RealPairs
from limbeck.training.transform import transformed

if TYPE_CHECKING:
    from limbeck.data.pairs import Pairs
    from limbeck.encoders.base import Weights
    from limbeck.encoders.tower import TwoTower

__all__ = ["RealEmbeddings"]

CHUNK = 64
"""Items that go through a tower at once, where all do."""


class RealEmbeddings:
    """Embeddings of real pairs through one network after another.

    Frozen parts see every item once, before the first step. A network of a pool is met again and again: what its tower
    makes of pictures and sounds is computed for all items when it is first met, and kept. Heads on vectors cost next to
    nothing and are computed for the pairs of the step.

    Args:
        pool: networks that come back; 0 for none.
        augment: the experts' augmentation, drawn for each pair: then nothing is kept.
        progress: show the pass through frozen parts.
        rehearse: fill what is kept with noise: to measure a step.
        ranks: each embeds pairs of its own for all.
    """

    def __init__(
        self,
        pairs: Pairs,
        towers: TwoTower,
        device: torch.device,
        *,
        pool: int = 0,
        augment: bool = False,
        progress: bool = False,
        rehearse: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks.alone()
        self.pairs, self.towers, self.device = pairs, towers, device
        self.pool, self.augment, self.rehearse = pool, augment, rehearse
        real = RealPairs(pairs, device)
        self.data: PairData = real if augment else Lifted(real, towers, progress=progress)
        self.tables: dict[tuple[int, str], Tensor] = {}

    def of(
        self,
        network: LookedThrough,
        chosen: Tensor,
        *,
        dropout: torch.Generator | None = None,
        augment: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """(n,) pairs, on the CPU -> by modality (n, D), of any length, on the device.

        Args:
            dropout: heads as in training, drawn from it.
            augment: draws of the augmentation, where there is one.
        """
        found: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, tower in self.towers.towers.items():
                weights = network.weights[name]
                if network.slot is not None and self._kept(name):
                    found[name] = self._table(network.slot, name, weights, chosen)
                elif name == self.pairs.first and not self.augment and dropout is None:  # an item once, not by caption
                    items, place = self.data.owner[chosen].unique(return_inverse=True)
                    once = torch.empty_like(items).scatter_(0, place, chosen)
                    found[name] = self._embedded(name, weights, once)[place.to(self.device)]
                elif dropout is not None:
                    found[name] = tower.embed(weights, self._lifted(name, chosen, augment), dropout)
                else:
                    found[name] = self._embedded(name, weights, chosen, augment)
        return found

    def notes(self) -> list[str]:
        """What the run's log says at the end."""
        networks = len({slot for slot, _ in self.tables})
        return [f"real embeddings: of all items through {networks} of {self.pool} networks"] if self.tables else []

    def _kept(self, name: str) -> bool:
        return not self.augment and self.pairs.modalities[name].spatial and self.towers.towers[name].frozen is None

    def _embedded(self, name: str, weights: Weights, chosen: Tensor, augment: torch.Generator | None = None) -> Tensor:
        """(n, D) of all ``chosen``; of pictures and sounds each rank embeds its own."""
        tower, spatial = self.towers.towers[name], self.pairs.modalities[name].spatial
        if not (spatial and self.ranks.many):
            return tower.embed(weights, self._lifted(name, chosen, augment))
        own = self.ranks.part(len(chosen))
        # what is drawn for one pair hangs on those before it
        mine = self._lifted(name, chosen, augment)[own] if self.augment else self._lifted(name, chosen[own])
        whole = torch.zeros(len(chosen), tower.embedding, device=self.device)
        if len(mine):
            whole[own] = tower.embed(weights, mine)
        self.ranks.sum_([whole])
        return whole

    def _lifted(self, name: str, chosen: Tensor, augment: torch.Generator | None = None) -> Tensor:
        x = self.data.values(name, chosen)
        if not self.augment:
            return x
        modality = self.pairs.modalities[name]
        if augment is not None and name == self.pairs.first and modality.spatial:
            x = transformed(x, modality, augment)
        return self.towers.towers[name].lift(x)

    def _table(self, slot: int, name: str, weights: Weights, chosen: Tensor) -> Tensor:
        """Rows of what a network of the pool makes of every item: always in the same chunks, so that a step is the same
        whichever came before it."""
        by_item = name == self.pairs.first
        if (slot, name) not in self.tables:
            every = torch.arange(len(self.data))
            if by_item:
                every = torch.zeros(len(self.pairs.items), dtype=torch.int64).scatter(0, self.data.owner, every)
            width, size = self.towers.towers[name].embedding, CHUNK * self.ranks.size
            table = torch.empty(len(every), width, device=home(self.device, self._bytes(len(every), name)))
            if self.rehearse:
                table.normal_(generator=torch.Generator(table.device).manual_seed(0))
            else:
                for part, rows in zip(table.split(size), every.split(size), strict=True):
                    part.copy_(self._embedded(name, weights, rows))
            self.tables[slot, name] = table
        table = self.tables[slot, name]
        rows = self.data.owner[chosen] if by_item else chosen
        return table.index_select(0, rows.to(table.device)).to(self.device)

    def _bytes(self, rows: int, name: str) -> int:
        """Of the tables that are still to come."""
        missing = self.pool - sum(own == name for _, own in self.tables)
        return 4 * missing * rows * self.towers.towers[name].embedding
