"""A real set by pairs: an item of the first modality and one of the values of the second that belong to it.

A picture with five captions is five pairs, as the image-text papers count them, and is held once. A set without
captions has one pair an item: sound and picture of a clip, depth and picture of a frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import ConfigError, DataError, nearest
from limbeck.files import digest_of
from limbeck.modalities import Modality, Text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from limbeck.data.caption_embeddings import CaptionEmbeddings
    from limbeck.data.store import PairedStore

__all__ = ["Pairs", "pair_modalities"]

IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Pairs:
    """R pairs over I items of a split.

    Args:
        store: where the values are.
        split: of the store.
        modalities: by name, the first and the second; what the second's values are, is said here.
        items: (I,) rows of the store, ascending.
        owner: (R,) which of the I items each pair is of, ascending.
        numbers: (R,) which caption each pair has, among all of the store; of no meaning without captions.
        captions: the vectors, None where the second modality is the store's own.
    """

    store: PairedStore
    split: str
    modalities: dict[str, Modality]
    items: IntArray
    owner: IntArray
    numbers: IntArray
    captions: CaptionEmbeddings | None

    @classmethod
    def of(
        cls,
        store: PairedStore,
        split: str,
        *,
        modalities: Sequence[str] | None = None,
        captions: str | None = None,
        device: str | torch.device = "cpu",
        progress: bool = False,
    ) -> Pairs:
        """The pairs of ``split``. Items without a caption are left out where captions are the second modality.

        Args:
            modalities: two of the store's; by default its own two.
            captions: the frozen encoder of captions, see :func:`limbeck.data.caption_embeddings.caption_embeddings`;
                by default what :func:`limbeck.data.caption_embeddings.default_captions` says.
            device, progress: of the embedding of captions that are not in the cache.

        Raises:
            ConfigError: not two modalities. DataError: an empty split, or no pair.
            MissingDependencyError: the encoder of captions is not there; says what to put where.
        """
        chosen = pair_modalities(store, modalities)
        items: IntArray = np.asarray(store.rows(split), dtype=np.int64)
        second = list(chosen)[1]
        if not isinstance(chosen[second], Text) or not store.captions.total:
            each = np.arange(len(items), dtype=np.int64)
            return cls(store, split, chosen, items, each, items.copy(), None)
        from limbeck.data.caption_embeddings import caption_embeddings, default_captions

        named = captions or default_captions(store)
        vectors = caption_embeddings(store, named, device=device, progress=progress)
        counts = vectors.offsets[items + 1] - vectors.offsets[items]
        items, counts = items[counts > 0], counts[counts > 0]
        if not len(items):
            raise DataError(f"no item of split {split!r} has a caption", where=store.path)
        owner: IntArray = np.repeat(np.arange(len(items), dtype=np.int64), counts)
        chosen[second] = Text(name=second, shape=(vectors.width,), embedding=vectors.encoder)
        return cls(store, split, chosen, items, owner, vectors.of(items), vectors)

    def __len__(self) -> int:
        """R."""
        return len(self.owner)

    @property
    def first(self) -> str:
        """The modality of which there are I values, such as "image"."""
        return next(iter(self.modalities))

    @property
    def second(self) -> str:
        """The modality of which there are R values, such as "text"."""
        return list(self.modalities)[1]

    @cached_property
    def id(self) -> str:
        """Equal only where all values are: for caches."""
        return digest_of(
            {
                "data": self.store.data_hash,
                "rows": [hashlib.sha256(x.tobytes()).hexdigest() for x in (self.items, self.owner, self.numbers)],
                "modalities": [m.to_dict() for m in self.modalities.values()],
                "captions": None if self.captions is None else self.captions.encoder,
            }
        )[:32]

    def firsts(self, positions: Sequence[int] | IntArray | Tensor, device: str | torch.device = "cpu") -> Tensor:
        """(n,) positions among the I items -> (n, *shape) float32, normalised, on ``device``."""
        return self._values(self.first, self.items[np.asarray(positions, dtype=np.int64)], device)

    def seconds(self, pairs: Sequence[int] | IntArray | Tensor, device: str | torch.device = "cpu") -> Tensor:
        """(n,) pairs -> (n, *shape) float32, normalised, on ``device``."""
        rows = np.asarray(pairs, dtype=np.int64)
        if self.captions is not None:
            return self.captions.batch(self.numbers[rows], device)
        return self._values(self.second, self.items[self.owner[rows]], device)

    def batch(self, pairs: Sequence[int] | IntArray | Tensor, device: str | torch.device = "cpu") -> dict[str, Tensor]:
        """(n,) pairs -> by modality (n, *shape) float32, normalised, on ``device``."""
        rows = np.asarray(pairs, dtype=np.int64)
        return {self.first: self.firsts(self.owner[rows], device), self.second: self.seconds(rows, device)}

    def words(self, pair: int) -> tuple[str, ...]:
        """The caption of a pair; all captions of its item where the second modality is another; none without."""
        if self.captions is not None:
            return (self.store.captions.strings[int(self.numbers[pair])],)
        return tuple(self.store.captions[int(self.items[self.owner[pair]])])

    def name(self, pair: int) -> str:
        """The id of the pair's item."""
        return self.store.ids[int(self.items[self.owner[pair]])]

    def seen_as(self, modalities: dict[str, Modality]) -> Pairs:
        """The same pairs, normalised with other constants: a set's own go with what was trained on it.

        Raises ConfigError where the modalities are others.
        """
        for name, own in self.modalities.items():
            other = modalities.get(name)
            if other is None or own.with_statistics(other.mean, other.std) != other:
                raise ConfigError(
                    f"{name} here is {own.kind} of {own.shape}, the set's {name} is "
                    f"{'not there' if other is None else f'{other.kind} of {other.shape}'}",
                    where=self.store.path,
                    hint="Use the captions' encoder, and a store of the size, that the set was made with.",
                )
        chosen = {name: modalities[name] for name in self.modalities}
        return Pairs(self.store, self.split, chosen, self.items, self.owner, self.numbers, self.captions)

    def _values(self, name: str, rows: IntArray, device: str | torch.device) -> Tensor:
        if self.modalities[name] == self.store.modalities[name]:
            return self.store.batch(name, rows, device)
        return self.modalities[name].normalise(self.store.stored(name, rows).to(device))


def pair_modalities(store: PairedStore, names: Sequence[str] | None = None) -> dict[str, Modality]:
    """The two modalities that pairs are of, in the order first, second: text comes last, else the store's order.

    Raises ConfigError where they are not two.
    """
    for name in names or ():
        if name not in store.modalities:
            raise ConfigError(
                f"the set has no modality {name!r}", where="--modalities", hint=nearest(name, store.modalities)
            )
    chosen = {n: m for n, m in store.modalities.items() if names is None or n in names}
    if len(chosen) != 2:
        raise ConfigError(
            f"pairs are of two modalities; here are {', '.join(chosen) or 'none'}",
            where="--modalities",
            hint=f"Name two of {', '.join(store.modalities)}." if len(store.modalities) > 1 else "",
        )
    return dict(sorted(chosen.items(), key=lambda entry: isinstance(entry[1], Text)))
