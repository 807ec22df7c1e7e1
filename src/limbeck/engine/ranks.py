"""Several processes that step one synthetic set together: each looks at classes or pairs of its own, and what they
find is summed. Parts are disjoint, so sums add zeros and the result is that of one process.

Every process holds the whole set and takes the same step; no gradient, mean or decision is one rank's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from limbeck.engine.links import Links

__all__ = ["Ranks"]

T = TypeVar("T")


class Ranks:
    """This process among those that share a run. Alone, every method gives back what it was given.

    What is said to be met by all must be called by every rank, in the same order.

    Args:
        rank: which it is, from 0.
        size: how many there are.
        links: to the others; None for a process alone.
    """

    def __init__(self, rank: int = 0, size: int = 1, links: Links | None = None) -> None:
        self.rank, self.size, self._links = rank, size, links

    @classmethod
    def alone(cls) -> Ranks:
        """One process, without torch.distributed."""
        return cls()

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        """Whether there are others."""
        return self._links is not None

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Those of this rank: every ``size``-th."""
        return items[self.rank :: self.size] if self.many else items

    def part(self, count: int) -> slice:
        """Which of ``count`` rows are this rank's, one after another."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Makes each tensor the sum over ranks, in place; met by all, with tensors of the same shapes and types, on
        one device."""
        if self._links is None:
            return
        for flat, parts in _flattened(tensors):
            self._links.sum_(flat)
            _put_back(flat, parts)

    def from_first_(self, tensors: Iterable[Tensor]) -> None:
        """Makes each tensor that of rank 0, in place; met by all."""
        if self._links is None:
            return
        for flat, parts in _flattened(tensors):
            self._links.from_first_(flat)
            _put_back(flat, parts)

    def once(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Terms that every rank has computed whole, as they are on rank 0 and zero elsewhere: they are about to be
        summed."""
        return {name: term if self.first else torch.zeros_like(term) for name, term in terms.items()}

    def tell(self, value: Callable[[], T]) -> T:
        """What ``value`` gives on rank 0, where alone it is called, however long it takes; met by all."""
        return value() if self._links is None else self._links.tell(value if self.first else None)

    def any(self, flag: bool) -> bool:
        """Whether it is true of one rank at least; met by all."""
        return flag if self._links is None else self._links.any(flag)

    def every(self, value: T) -> list[T]:
        """The value of each rank, in their order; met by all."""
        return [value] if self._links is None else self._links.every(value)

    def wait(self) -> None:
        """Until all are here; met by all."""
        self.tell(lambda: None)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Rank 0 goes through the block first and makes what is not in the cache; the others then find it there."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


def _flattened(tensors: Iterable[Tensor]) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """By type, tensors one after another in one, which is the tensor itself where it is alone."""
    kinds: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault(tensor.dtype, []).append(tensor)
    for parts in kinds.values():
        alone = len(parts) == 1 and parts[0].is_contiguous()
        yield parts[0].detach() if alone else torch.cat([part.detach().reshape(-1) for part in parts]), parts


def _put_back(flat: Tensor, parts: list[Tensor]) -> None:
    if flat.data_ptr() == parts[0].data_ptr():
        return
    for part, found in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
        part.detach().copy_(found.view_as(part))
