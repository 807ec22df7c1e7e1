"""What real items weigh in the form their media ship in: the bytes that a budget by ``--bytes`` counts.

A store holds decoded media at the size that students see. Pictures are counted as the smallest of a JPEG of quality 95,
a PNG and the plain bytes, at the store's own resolution; depth maps as the smaller of a 16-bit PNG and the plain bytes;
captions as UTF-8 words. A store holds no waveform, so sound is counted as the spectrogram that it holds, and vectors as
they stand there, both with a byte a number and a scale and an offset a channel, as a synthetic set may be kept. Labels
are not counted, here as in a synthetic set. Students see the items as the store holds them, undamaged. So each form is
the least a real item could be sent in, and nothing flatters what is compared with it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.modalities import Audio, Depth, Image, Modality, Text

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["QUALITY", "Shipped", "words_bytes"]

QUALITY = 95
"""Of a JPEG [choice]: pictures as they are shipped, not visibly worse."""
GRID = 8
"""Bytes of a scale and an offset."""

Array = np.ndarray[Any, Any]


class Shipped:
    """Bytes of a store's items by modality, each looked at once.

    Args:
        store: where they are.
        modalities: which of the store's to count.
    """

    def __init__(self, store: PairedStore, modalities: Mapping[str, Modality]) -> None:
        self.store, self.modalities = store, dict(modalities)
        self._known: dict[tuple[str, int], int] = {}

    def medium(self, name: str, row: int) -> int:
        """Bytes of one modality of an item; of text all its captions."""
        if (name, row) not in self._known:
            self._known[name, row] = self._weigh(name, row)
        return self._known[name, row]

    def item(self, row: int) -> int:
        """Bytes of all modalities of an item."""
        return sum(self.medium(name, row) for name in self.modalities)

    @property
    def counted(self) -> dict[str, str]:
        """By modality, what was counted, in words."""
        return {name: self._words(name) for name in self.modalities}

    def _weigh(self, name: str, row: int) -> int:
        if self._spoken(name):
            return words_bytes(self.store.captions[row])
        array = self.store.stored(name, [row])[0]
        plain = array.numel() * array.element_size()
        if isinstance(self.modalities[name], Image | Depth):
            return min(plain, *(len(file) for file in _files(array.numpy(), self.modalities[name])))
        return min(plain, array.numel() + GRID * (len(array) if array.ndim > 1 else 1))

    def _spoken(self, name: str) -> bool:
        return isinstance(self.modalities[name], Text) and self.store.captions.total > 0

    def _words(self, name: str) -> str:
        modality = self.modalities[name]
        if self._spoken(name):
            return "UTF-8 words"
        size = " x ".join(map(str, modality.shape[-2:]))
        if isinstance(modality, Image):
            return f"the smallest of JPEG {QUALITY}, PNG and plain bytes at {size}"
        if isinstance(modality, Depth):
            return f"the smaller of 16-bit PNG and plain bytes at {size}"
        what = "the store's spectrogram (it holds no waveform)" if isinstance(modality, Audio) else "the store's vector"
        return f"{what}, a byte a number with a scale and an offset"


def words_bytes(words: Sequence[str]) -> int:
    """Of captions, a line each."""
    return len("\n".join(words).encode())


def _files(item: Array, modality: Modality) -> list[bytes]:
    """(C, H, W) of the stored type -> the picture as files."""
    from PIL import Image as Picture

    picture = Picture.fromarray(item[0] if len(item) == 1 else np.ascontiguousarray(item.transpose(1, 2, 0)))
    forms: dict[str, dict[str, Any]] = {"PNG": {"optimize": True}}
    if isinstance(modality, Image):
        forms["JPEG"] = {"quality": QUALITY, "optimize": True}
    found = []
    for form, options in forms.items():
        file = io.BytesIO()
        picture.save(file, form, **options)
        found.append(file.getvalue())
    return found
