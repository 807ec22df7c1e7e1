"""Mean and std of a column of a store, over the rows that count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from limbeck.modalities import Audio, Modality

__all__ = ["blocks", "standardised", "standardised_by_default"]

Array = np.ndarray[Any, Any]

STANDARDISED = ("audio", "depth", "feature")
"""Kinds whose mean and std are those of the train split: every set has a scale of its own (docs/audio_visual.md)."""


def standardised(modality: Modality, array: Array, rows: Array) -> Modality:
    """The modality with mean and std per channel (vectors: one number) of ``rows``, in float64, block by block."""
    import torch

    channels = modality.shape[0] if modality.spatial else 1
    count, first, second = 0, np.zeros(channels), np.zeros(channels)
    reference = np.zeros(channels)
    for block in blocks(len(rows), array):
        stored = torch.from_numpy(np.take(array, rows[block], axis=0))
        values = modality.physical(stored).double().numpy().reshape(len(stored), channels, -1)
        if count == 0:  # squares around a value of the data itself keep their digits
            reference = values.mean(axis=(0, 2))
        values -= reference[None, :, None]
        first += values.sum(axis=(0, 2))
        second += np.square(values).sum(axis=(0, 2))
        count += values.shape[0] * values.shape[2]
    shift = first / count
    std = np.sqrt(np.maximum(second / count - np.square(shift), 0))
    mean = tuple(float(v) for v in reference + shift)
    return modality.with_statistics(mean, tuple(float(v) if v > 1e-8 else 1.0 for v in std))


def standardised_by_default(modalities: Sequence[Modality]) -> list[str]:
    """Names of those whose mean and std come from the data; of spectrograms only those of scale "standard"."""
    own = [m.name for m in modalities if isinstance(m, Audio) and m.scale != "standard"]
    return [m.name for m in modalities if m.kind in STANDARDISED and m.name not in own]


def blocks(rows: int, array: Array) -> Iterator[slice]:
    """Slices of about 16 MB of ``array``'s items."""
    step = max(1, (16 << 20) * len(array) // max(1, array.nbytes))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
