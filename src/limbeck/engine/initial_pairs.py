"""The set before the first step of a run by pairs: real pairs, or noise that is spread as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from limbeck.engine.initial_bytes import pairs_within
from limbeck.engine.pair_evidence import TrainedPairs
from limbeck.engine.settings import NOISE
from limbeck.errors import DataError
from limbeck.rng import numpy_stream, stream
from limbeck.selection import select_pairs
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from limbeck.data.pairs import Pairs
    from limbeck.engine.numerics import Numerics
    from limbeck.engine.paired import Paired
    from limbeck.engine.settings import RunSettings
    from limbeck.modalities import Modality

__all__ = ["initial_pairs", "spread"]

SAMPLE = 2048
"""Values that noise is measured on, where a set has more."""
CHUNK = 64


def initial_pairs(
    paired: Paired,
    settings: RunSettings,
    numerics: Numerics,
    provenance: Mapping[str, Any],
    count: int,
    *,
    options: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> SyntheticSet:
    """Choose ``count`` real pairs (0: as many as fit in the budget in bytes): no pair twice, an item as often as its
    captions are chosen.

    Noise is N(mean, deviation) of the real values as they are normalised, see :func:`spread`.

    Args:
        options: of the selection, ``Method.selection_options``.

    Raises DataError where there are fewer pairs.
    """
    pairs = paired.pairs
    if settings.init == NOISE:
        values = _noise(pairs, count, settings.seed)
        return SyntheticSet(dict(pairs.modalities), values, provenance=dict(provenance))
    if count > len(pairs):
        raise DataError(
            f"the training split has {len(pairs)} pairs, fewer than the {count} that the set starts from",
            where=pairs.store.path,
            hint="Lower --pairs.",
        )
    evidence = TrainedPairs(paired, settings.seed, numerics, progress=progress)
    chosen = select_pairs(
        settings.init, len(pairs), count or len(pairs), seed=settings.seed, evidence=evidence, options=options
    )  # fmt: skip
    if settings.budget.bytes is not None:
        chosen, told = pairs_within(pairs, chosen, settings.budget.bytes)
        provenance = {**provenance, "bytes": told}
    store, rows = pairs.store, pairs.items[pairs.owner[chosen]]
    labels = np.asarray(store.labels)[rows]
    labelled = bool(store.classes) and bool((labels >= 0).all())
    words: list[tuple[tuple[str, ...], ...]] = [(pairs.words(int(pair)),) for pair in chosen]
    return SyntheticSet(
        modalities=dict(pairs.modalities),
        values=pairs.batch(chosen),
        labels=torch.from_numpy(labels.copy()) if labelled else None,
        classes=store.classes if labelled else (),
        captions=words if any(any(item) for item in words) else None,
        provenance={**provenance, "real_items": [[pairs.name(int(pair))] for pair in chosen]},
    )


def spread(pairs: Pairs, name: str) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the normalised values of modality ``name``: of each channel where there are channels, of
    all numbers of vectors together, as MDM's code has them for its pixels and its captions.

    Returns:
        two tensors (C, 1, 1) or (1,), over 2048 values that are drawn, or all where there are no more.
    """
    read: Callable[[Any], Tensor]
    total, read = (len(pairs.items), pairs.firsts) if name == pairs.first else (len(pairs), pairs.seconds)
    drawn = np.sort(numpy_stream(0, "noise", name).permutation(total)[:SAMPLE])
    chunks = [drawn[start : start + CHUNK] for start in range(0, len(drawn), CHUNK)]
    sums = [_moments(read(chunk).double(), pairs.modalities[name]) for chunk in chunks]
    mean, square = torch.stack(sums).sum(0) / len(drawn)
    return mean.float(), (square - mean.square()).clamp(min=0).sqrt().float()


def _moments(x: Tensor, modality: Modality) -> Tensor:
    """(2, C, 1, 1) or (2, 1): sums over items of their mean and mean square."""
    axes = (2, 3) if modality.spatial else (1,)
    return torch.stack([x.mean(axes, keepdim=True).sum(0), x.square().mean(axes, keepdim=True).sum(0)])


def _noise(pairs: Pairs, count: int, seed: int) -> dict[str, Tensor]:
    values = {}
    for name, modality in pairs.modalities.items():
        mean, deviation = spread(pairs, name)
        values[name] = mean + deviation * torch.randn(count, *modality.shape, generator=stream(seed, "noise", name))
    return values
