"""How many items a synthetic set may hold: by class or by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.errors import ConfigError, DataError

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.modalities import Modality

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """``per_class`` items of every class (IPC, DPC in papers), or ``pairs`` items in all."""

    per_class: int | None = None
    pairs: int | None = None

    def __post_init__(self) -> None:
        if (self.per_class is None) == (self.pairs is None):
            raise ConfigError(
                "a budget is either per class or in pairs", hint="Give --per-class N or --pairs N, not both."
            )
        items = self.pairs if self.per_class is None else self.per_class
        if items is None or items < 1:
            raise ConfigError(f"a budget of {items} items is empty", hint="Ask for 1 or more.")

    def items(self, classes: int) -> int:
        """Stored items in all."""
        return self.pairs if self.pairs is not None else (self.per_class or 0) * classes

    def bytes(self, classes: int, modalities: Mapping[str, Modality]) -> int:
        """Bytes of the learnt numbers (fp32)."""
        import math

        return self.items(classes) * sum(4 * math.prod(m.shape) for m in modalities.values())

    def check(self, store: PairedStore, factor: int) -> None:
        """Raises DataError where the training split holds fewer real items than the first items are made of."""
        if self.pairs is not None:
            have, want = len(store.rows("train")), self.pairs * factor**2
            if have < want:
                raise DataError(
                    f"the training split has {have} items, fewer than the {want} that the set starts from",
                    where=store.path,
                    hint="Lower --pairs or --factor.",
                )
            return
        want = (self.per_class or 0) * factor**2
        for label, name in enumerate(store.classes):
            have = len(store.rows("train", label))
            if have < want:
                raise DataError(
                    f"class {name!r} has {have} training items, fewer than the {want} that the set starts from",
                    where=store.path,
                    hint="Lower --per-class or --factor, or add items of this class.",
                )
