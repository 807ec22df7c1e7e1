"""How many items a synthetic set may hold: by class, by pair, or as many real ones as fit in so many bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.errors import ConfigError, DataError
from limbeck.synthetic.storage import bytes_as

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.modalities import Modality

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """``per_class`` items of every class (IPC, DPC in papers), ``pairs`` items in all, or as many real items as fit in
    ``bytes`` in the form their media ship in: by class as evenly as they fit, in all where there are no classes."""

    per_class: int | None = None
    pairs: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        given = [n for n in (self.per_class, self.pairs, self.bytes) if n is not None]
        if len(given) != 1:
            raise ConfigError(
                "a budget is either per class or in pairs, or of real items in bytes",
                hint="Give one of --per-class N, --pairs N and --bytes N.",
            )
        if given[0] < 1:
            raise ConfigError(f"a budget of {given[0]} {self.kind} is empty", hint="Ask for 1 or more.")

    @property
    def kind(self) -> str:
        """ "items" of each class, "pairs" or "bytes"."""
        return "items" if self.per_class is not None else "pairs" if self.pairs is not None else "bytes"

    def by_class(self, classes: int) -> bool:
        """Whether items are of each of so many classes."""
        return self.per_class is not None or (self.bytes is not None and classes > 0)

    def items(self, classes: int) -> int:
        """Stored items in all. Those of a budget in bytes are known when they are chosen."""
        return self.pairs if self.pairs is not None else (self.per_class or 0) * classes

    def numbers_bytes(self, classes: int, modalities: Mapping[str, Modality], storage: str = "fp32") -> int:
        """Bytes of the learnt numbers as they are kept; of a budget in bytes the most that its items ship in."""
        return self.bytes if self.bytes is not None else bytes_as(storage, self.items(classes), modalities)

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
        want = (self.per_class or 0) * factor**2 or 1  # how many more fit in bytes is known when they are weighed
        for label, name in enumerate(store.classes):
            have = len(store.rows("train", label))
            if have < want:
                raise DataError(
                    f"class {name!r} has {have} training items, fewer than the {want} that the set starts from",
                    where=store.path,
                    hint="Lower --per-class or --factor, or add items of this class.",
                )
