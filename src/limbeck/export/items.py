"""Decoded items one by one, each in the bytes that all exports hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limbeck.modalities import Audio, Depth, Image, Modality

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from limbeck.synthetic import SyntheticSet

__all__ = ["Item", "items", "suffix"]

CHUNK = 64
"""Stored items decoded at a time: the memory of an export does not grow with the set."""


@dataclass(frozen=True)
class Item:
    """One decoded item.

    Args:
        number: its place in :meth:`SyntheticSet.decode`.
        label: None where there are no classes.
        captions: None where the set has none; an item may have none of its own.
        media: by modality the bytes of a PNG or WAV file.
        vectors: by modality (width,) float32, as the encoder gave them.
    """

    number: int
    label: int | None
    captions: tuple[str, ...] | None
    media: dict[str, bytes] = field(default_factory=dict)
    vectors: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)


def suffix(modality: Modality) -> str:
    """What a file of one item is: "png", "wav", or "npy" where it is a vector."""
    return "wav" if isinstance(modality, Audio) else "png" if isinstance(modality, Image | Depth) else "npy"


def items(synthetic: SyntheticSet) -> Iterator[Item]:
    """All items in the order of ``decode()``: first cells of all stored items, then second ones."""
    import torch

    captions, labels = synthetic.decoded_captions, synthetic.labels
    for cell in range(synthetic.factor**2):
        for start in range(0, len(synthetic), CHUNK):
            rows = torch.arange(start, min(start + CHUNK, len(synthetic)))
            with torch.no_grad():
                batch, _ = synthetic.decode(rows)
            values = {name: value.unflatten(0, (-1, len(rows)))[cell].cpu() for name, value in batch.items()}
            parts = {name: _encoded(synthetic.modalities[name], value) for name, value in values.items()}
            for k, row in enumerate(rows.tolist()):
                number = cell * len(synthetic) + row
                yield Item(
                    number=number,
                    label=None if labels is None else int(labels[row]),
                    captions=None if captions is None else captions[number],
                    media={n: part[k] for n, part in parts.items() if isinstance(part[k], bytes)},
                    vectors={n: part[k] for n, part in parts.items() if not isinstance(part[k], bytes)},
                )


def _encoded(modality: Modality, values: Tensor) -> list[Any]:
    """Of each item the bytes of its file, or its vector."""
    from limbeck.modalities.wav import wav_bytes

    if isinstance(modality, Audio):
        return [wav_bytes(samples.numpy(), modality.sample_rate) for samples in modality.waveform(values)]
    physical = modality.denormalise(values)
    if isinstance(modality, Image | Depth):
        return [_png(item) for item in modality.to_stored(physical).numpy()]
    return list(physical.numpy())


def _png(item: np.ndarray[Any, Any]) -> bytes:
    import io

    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(item[0] if len(item) == 1 else item.transpose(1, 2, 0).copy()).save(buffer, "PNG")
    return buffer.getvalue()
