"""What a distilled text vector says now: the real captions whose vectors point most nearly the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from limbeck.errors import DataError, LimbeckError
from limbeck.modalities import Text
from limbeck.synthetic.origin import store_of

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["Neighbour", "nearest", "nearest_captions"]

COUNT = 3
"""Captions for each vector."""
CHUNK = 16_384
"""Captions compared at a time."""


@dataclass(frozen=True)
class Neighbour:
    """A real caption and the cosine of its vector with the distilled one."""

    words: str
    cosine: float


def nearest_captions(synthetic: SyntheticSet, rows: Sequence[int]) -> tuple[dict[int, list[Neighbour]], str]:
    """By item of ``rows`` the nearest captions of the training split, best first, each wording once.

    Nothing is embedded for it: the vectors have to be in the cache, as they are where the set was made.

    Returns:
        The captions, none for a set without text or one that was not distilled; and a sentence where they cannot be
        told, else an empty one.
    """
    texts = [m for m in synthetic.modalities.values() if isinstance(m, Text)]
    told = synthetic.provenance.get("settings")
    kept = told.get("fixed", ()) if isinstance(told, Mapping) else ()
    if not texts or synthetic.provenance.get("steps_done") == 0 or texts[0].name in kept:
        return {}, ""
    try:
        return dict(zip(rows, nearest(synthetic, texts[0], rows), strict=True)), ""
    except (LimbeckError, OSError) as error:
        reason = f"{error.where}: {error.what}" if isinstance(error, LimbeckError) and error.where else str(error)
        return {}, f"Which real captions the distilled text is nearest to cannot be told here ({reason})."


def nearest(synthetic: SyntheticSet, text: Text, rows: Sequence[int]) -> list[list[Neighbour]]:
    """For each item of ``rows`` the captions of the training split nearest to its ``text`` vector, best first.

    Raises LimbeckError where the real set is not there, or its captions' vectors are not in the cache.
    """
    batch, words, total = _real(store_of(synthetic), synthetic, text)
    own = text.denormalise(synthetic.values[text.name][list(rows)].detach().cpu())
    return _nearest(own, batch, words, total)


def _real(
    store: PairedStore, synthetic: SyntheticSet, text: Text
) -> tuple[Callable[[np.ndarray], Tensor], Callable[[int], str], int]:
    """Vectors of real captions by number, (n,) -> (n, D), their words, and how many there are.

    Raises LimbeckError where they are not to be had.
    """
    from limbeck.data.caption_embeddings import caption_embeddings

    items = np.asarray(store.rows("train"), dtype=np.int64)
    own = store.modalities.get(text.name)
    if own is not None and own.with_statistics(text.mean, text.std) == text:  # one vector an item
        first = [next(iter(store.captions[int(item)]), "") for item in items]
        return lambda n: own.denormalise(store.batch(text.name, items[n])), lambda k: first[k], len(items)
    settings = synthetic.provenance.get("settings")
    encoder = settings.get("captions") if isinstance(settings, Mapping) else None
    if not encoder:
        raise DataError("the set does not say which encoder read its captions")
    vectors = caption_embeddings(store, str(encoder), make=False)
    if vectors.encoder != text.embedding:
        raise DataError(f"its captions were read by {text.embedding}, here is {vectors.encoder}")
    numbers = vectors.of(items)
    return lambda n: vectors.batch(numbers[n]), lambda k: store.captions.strings[int(numbers[k])], len(numbers)


def _nearest(
    own: Tensor, batch: Callable[[np.ndarray], Tensor], words: Callable[[int], str], total: int
) -> list[list[Neighbour]]:
    import torch
    from torch.nn.functional import normalize

    own, best = normalize(own.float(), dim=1), 4 * COUNT  # the same words may come several times
    cosines, numbers = torch.empty(len(own), 0), torch.empty(len(own), 0, dtype=torch.int64)
    for start in range(0, total, CHUNK):
        chunk = np.arange(start, min(start + CHUNK, total))
        found = own @ normalize(batch(chunk).float(), dim=1).T
        cosines = torch.cat([cosines, found], 1)
        numbers = torch.cat([numbers, torch.from_numpy(chunk).expand(len(own), -1)], 1)
        cosines, order = cosines.topk(min(best, cosines.shape[1]), dim=1)
        numbers = numbers.gather(1, order)
    return [_once(c, n, words) for c, n in zip(cosines.tolist(), numbers.tolist(), strict=True)]


def _once(cosines: Sequence[float], numbers: Sequence[int], words: Callable[[int], str]) -> list[Neighbour]:
    found: dict[str, float] = {}
    for cosine, number in zip(cosines, numbers, strict=True):
        found.setdefault(words(number), cosine)
    return [Neighbour(text, cosine) for text, cosine in found.items() if text][:COUNT]
