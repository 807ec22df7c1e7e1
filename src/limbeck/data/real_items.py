"""A training split as steps look at it: groups of items, which are its classes or, by pairs, all pairs in one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from limbeck.files import digest_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from limbeck.data.pairs import Pairs
    from limbeck.data.store import PairedStore
    from limbeck.modalities import Modality

__all__ = ["RealItems"]


class RealItems:
    """R real items by position 0..R-1, in G groups.

    Args:
        source: a store, whose labelled training items are taken class by class; or pairs, which are one group.
        modalities: which of a store's; a set of pairs has its own two.
    """

    def __init__(self, source: PairedStore | Pairs, modalities: Mapping[str, Modality] | None = None) -> None:
        from limbeck.data.pairs import Pairs

        self.pairs = source if isinstance(source, Pairs) else None
        if isinstance(source, Pairs):
            self.store, self.modalities = source.store, dict(source.modalities)
            sizes = [len(source)]
        else:
            self.store = source
            self.modalities = dict(source.modalities if modalities is None else modalities)
            by_class = [np.asarray(source.rows("train", c), dtype=np.int64) for c in range(len(source.classes))]
            self._rows = np.concatenate(by_class) if by_class else np.empty(0, dtype=np.int64)
            sizes = [len(rows) for rows in by_class]
        ends = np.cumsum(sizes)
        self.groups = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        """Positions of each group, ascending."""

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    @cached_property
    def id(self) -> str:
        """Equal only where all values are: for caches."""
        if self.pairs is not None:
            return self.pairs.id
        shown = [m.to_dict() for m in self.modalities.values()]
        return digest_of({"data": self.store.data_hash, "by": "class", "modalities": shown})[:32]

    def values(self, modality: str) -> int:
        """How many different ones of a modality there are: a picture with five captions is in five pairs."""
        return len(self.pairs.items) if self.pairs is not None and modality == self.pairs.first else len(self)

    def batch(self, modality: str, positions: Tensor, device: str | torch.device = "cpu") -> Tensor:
        """(n,) positions -> (n, *shape) float32, normalised, on ``device``."""
        where = np.asarray(positions, dtype=np.int64)
        if self.pairs is None:
            return self.store.batch(modality, self._rows[where], device)
        if modality == self.pairs.first:
            return self.pairs.firsts(self.pairs.owner[where], device)
        return self.pairs.seconds(where, device)

    def item_name(self, position: int) -> str:
        """The id that the store gives the item."""
        return self.store.ids[int(self._rows[position])] if self.pairs is None else self.pairs.name(position)
