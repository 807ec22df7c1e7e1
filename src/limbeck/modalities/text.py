"""Captions, as the vectors an embedding makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limbeck.modalities.feature import Feature

__all__ = ["Text"]


@dataclass(frozen=True, kw_only=True)
class Text(Feature):
    """A caption as the vector an ``embedding`` makes of it; the words stand in the store's captions."""

    kind: ClassVar[str] = "text"
    embedding: str = "hashing"
