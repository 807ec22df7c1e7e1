"""Captions, as the vectors an embedding makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limbeck.errors import ConfigError
from limbeck.modalities.feature import Feature

__all__ = ["Text"]


@dataclass(frozen=True, kw_only=True)
class Text(Feature):
    """A caption as the vector an ``embedding`` makes of it; the words stand in the store's captions."""

    kind: ClassVar[str] = "text"
    embedding: str = "hashing"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.embedding, str):
            raise ConfigError(f"{self.embedding!r} is no name of an embedding", where=self.name)
