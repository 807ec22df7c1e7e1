"""Pairs by position: of a real set, of a synthetic set, or already through the towers' frozen parts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from limbeck.encoders.tower import TwoTower
from limbeck.errors import ConfigError
from limbeck.files import digest_of
from limbeck.modalities import Modality
from limbeck.progress import Progress
from limbeck.training.data import Tensors

if TYPE_CHECKING:
    from limbeck.data.pairs import Pairs
    from limbeck.synthetic import SyntheticSet

__all__ = ["Lifted", "PairData", "RealPairs", "SyntheticPairs"]

CHUNK = 64
"""Items that go through a frozen part at once."""
KEPT_BYTES = 2 << 30
"""Vectors without a frozen part are gathered from memory up to this size, beyond it from where the set has them."""


class PairData(Protocol):
    """R pairs over I items: an item of the first modality may be in several pairs."""

    @property
    def id(self) -> str:
        """Equal only where all values are."""

    @property
    def modalities(self) -> Mapping[str, Modality]:
        """The first and the second."""

    @property
    def owner(self) -> Tensor:
        """(R,) int64 on the CPU: which of the I items each pair is of."""

    def __len__(self) -> int:
        """R."""

    def values(self, modality: str, pairs: Tensor) -> Tensor:
        """(n,) positions on the CPU -> (n, \\*shape) float32 on the device, normalised."""

    def batch(self, pairs: Tensor) -> dict[str, Tensor]:
        """:meth:`values` of both modalities."""


class RealPairs:
    """Pairs of a store."""

    def __init__(self, pairs: Pairs, device: str | torch.device = "cpu") -> None:
        self.pairs, self.device = pairs, torch.device(device)
        self.id, self.modalities = pairs.id, pairs.modalities
        self.owner = torch.from_numpy(pairs.owner.copy())
        pairs.store.keep_on(self.device, [n for n in pairs.modalities if n in pairs.store.modalities])

    def __len__(self) -> int:
        return len(self.pairs)

    def values(self, modality: str, pairs: Tensor) -> Tensor:
        if modality == self.pairs.first:
            return self.pairs.firsts(self.owner[pairs].numpy(), self.device)
        return self.pairs.seconds(pairs.numpy(), self.device)

    def batch(self, pairs: Tensor) -> dict[str, Tensor]:
        return {name: self.values(name, pairs) for name in self.modalities}


class SyntheticPairs:
    """The decoded pairs of a synthetic set: each its own item of both modalities."""

    def __init__(self, synthetic: SyntheticSet, device: str | torch.device = "cpu") -> None:
        if len(synthetic.modalities) != 2:
            raise ConfigError(
                f"pairs are of two modalities; the set has {', '.join(synthetic.modalities)}", where="--modalities"
            )
        with torch.no_grad():
            values, _ = synthetic.decode()
        self.modalities = synthetic.modalities
        self.owner = torch.arange(len(next(iter(values.values()))))
        self._held = Tensors(values, self.owner, device)
        self.id = self._held.id

    def __len__(self) -> int:
        return len(self.owner)

    def values(self, modality: str, pairs: Tensor) -> Tensor:
        held = self._held.values[modality]
        return held.index_select(0, pairs.to(held.device))

    def batch(self, pairs: Tensor) -> dict[str, Tensor]:
        return self._held.batch(pairs)


class Lifted:
    """Other pairs through the towers' frozen parts, each item once; what a step gathers is in memory.

    What has no frozen part stays what it is; pixels are not kept a second time, vectors are.

    Args:
        data: on the device of ``towers``.
        progress: show it; a large frozen tower takes its time.
    """

    def __init__(self, data: PairData, towers: TwoTower, *, progress: bool = False) -> None:
        self.data, self.towers = data, towers
        self.modalities, self.owner = data.modalities, data.owner
        self._by_item = next(iter(self.modalities))
        self._kept = {name: self._made(name, progress) for name in self.modalities if self._worth(name)}

    @cached_property
    def id(self) -> str:
        """Of the pairs and of all that the towers share."""
        return digest_of([self.data.id, self.towers.id])[:32]

    def __len__(self) -> int:
        return len(self.data)

    def values(self, modality: str, pairs: Tensor) -> Tensor:
        """What :meth:`limbeck.encoders.Tower.lift` makes of them, (n, F) or (n, \\*shape)."""
        kept = self._kept.get(modality)
        if kept is None:
            return self.data.values(modality, pairs)
        rows = self.owner[pairs] if modality == self._by_item else pairs
        return kept.index_select(0, rows.to(kept.device))

    def batch(self, pairs: Tensor) -> dict[str, Tensor]:
        return {name: self.values(name, pairs) for name in self.modalities}

    def _worth(self, name: str) -> bool:
        modality = self.modalities[name]
        if self.towers.towers[name].frozen is not None:
            return True
        return not modality.spatial and 4 * len(self) * modality.shape[0] <= KEPT_BYTES

    @torch.no_grad()
    def _made(self, name: str, progress: bool) -> Tensor:
        """The first modality by item, the second by pair."""
        rows = torch.arange(len(self))
        if name == self._by_item:
            rows = torch.zeros(int(self.owner.max()) + 1, dtype=torch.int64).scatter(0, self.owner, rows)
        tower, parts, done = self.towers.towers[name], [], 0
        shown = progress and tower.frozen is not None
        with Progress(f"{name} through the frozen tower", len(rows), shown=shown) as bar:
            for chunk in rows.split(CHUNK if tower.frozen is not None else 1 << 14):
                parts.append(tower.lift(self.data.values(name, chunk)))
                done += len(chunk)
                bar.update(done, {}, bar.rate(1))
        return torch.cat(parts)
