"""The real side of embeddings: which items a step looks at, and where their embeddings come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.augment import DSA, Draw
from limbeck.banks.embeddings import FrozenEmbeddings
from limbeck.banks.random import RandomBank
from limbeck.encoders.identity import Identity
from limbeck.engine.eyes import group_draws
from limbeck.engine.ranks import Ranks
from limbeck.engine.rehearsal import RehearsalEmbeddings
from limbeck.engine.statistics import open_cache, rows_key, shared_cache
from limbeck.engine.views import Eye
from limbeck.losses.grouped import Grouped
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan
    from limbeck.engine.sight import Sight

__all__ = ["RealRows", "real_rows"]

WHOLE = 128
"""Items a forward, so that memory does not grow with the real set."""


class RealRows(ABC):
    """What a step looks through, and the real embeddings that it compares with."""

    def __init__(self, planned: Plan, found: Sight) -> None:
        self.settings, self.items = planned.settings, found.items
        self.device = torch.device(planned.numerics.device)
        self.augment = DSA(tuple(self.settings.augment.split("_"))) if self.settings.augment else None
        self.whole = self.settings.real_statistics == "class"
        self.bank = RandomBank(found.encoders, self.settings.seed, shared_seeds=self.settings.streams == "authors")

    @abstractmethod
    def eye(self, step: int) -> Eye:
        """Encoders and draws of ``step``."""

    @abstractmethod
    def groups(self, eye: Eye, step: int, groups: Sequence[range]) -> Iterator[Grouped]:
        """The real rows of each group of classes, without gradient."""

    @property
    def cache_bytes(self) -> int:
        """What is kept on disk."""
        return 0

    def notes(self) -> list[str]:
        """What the run's log says at the end."""
        return []

    def close(self) -> None:  # noqa: B027 -- one of two has files
        """Gives back files."""

    def positions(self, step: int, c: int) -> Tensor:
        """Of the real items of group ``c`` that a step looks at: all, or ``real_batch`` without replacement."""
        own = torch.from_numpy(self.items.groups[c])
        if self.whole:
            return own
        seed, name = self.bank.names(step)
        order = torch.randperm(len(own), generator=stream(seed, *name, "real", c))
        return own[order[: self.settings.real_batch]]

    @property
    def counts(self) -> list[int]:
        """How many items of each group a step looks at."""
        sizes = [len(group) for group in self.items.groups]
        return sizes if self.whole else [min(self.settings.real_batch, size) for size in sizes]

    def draws(self, seed: int, *name: str | int) -> dict[int, Draw]:
        """DSA by group."""
        return group_draws(self.augment, self.settings.dsa_sharing, len(self.items.groups), seed, *name)


class FreshRows(RealRows):
    """A fresh random encoder a modality and step; embeddings are kept for the next run of the same seed. Ranks embed
    the classes of a step together."""

    def __init__(self, planned: Plan, found: Sight, cache: Path | None, ranks: Ranks) -> None:
        super().__init__(planned, found)
        self.ranks = ranks
        total = sum(self.counts)
        self.shapes = {name: (total, encoder.embedding) for name, encoder in found.encoders.items()}
        self.cache = None
        if cache is not None and ranks.first:
            self.cache = open_cache(cache, rows_key(planned, found), self.shapes, self.settings)
        self.kept = shared_cache(self.cache, self.shapes, ranks) if cache is not None else None

    def eye(self, step: int) -> Eye:
        seed, name = self.bank.names(step)
        weights = self.bank.weights(step, self.device)
        return Eye(self.bank.encoders, weights, self.augment, self.draws(seed, *name), None, step)

    def groups(self, eye: Eye, step: int, groups: Sequence[range]) -> Iterator[Grouped]:
        rows = self._all(eye, step) if self.kept is None else self.kept.means(
            step, self.device, lambda: self._all(eye, step)
        )  # fmt: skip
        return self._split(rows, groups)

    def _split(self, rows: Mapping[str, Tensor], groups: Sequence[range]) -> Iterator[Grouped]:
        counts = self.counts
        for group in groups:
            own, start = tuple(counts[c] for c in group), sum(counts[: group.start])
            yield Grouped({name: x[start : start + sum(own)] for name, x in rows.items()}, own)

    @torch.no_grad()
    def _all(self, eye: Eye, step: int) -> dict[str, Tensor]:
        """By modality (sum of counts, D)."""
        found: dict[str, list[Tensor]] = {name: [] for name in self.shapes}
        chunks = self._chunks(step)
        for c, some in self.ranks.share(chunks):
            for name, modality in self.items.modalities.items():
                x = self.items.batch(name, some, self.device)
                found[name].append(eye.rows(name, x, [len(some)], [c], modality.spatial))
        if self.ranks.many:
            return self._from_all(found, [len(some) for _, some in chunks])
        return {name: torch.cat(parts) for name, parts in found.items()}

    def _chunks(self, step: int) -> list[tuple[int, Tensor]]:
        """Group and positions of what goes through an encoder at once."""
        found = []
        for c in range(len(self.items.groups)):
            own = self.positions(step, c)
            alone = len(self.items.groups) == 1 and self.ranks.many  # so that each rank has a part of it
            found += [(c, some) for some in own.split(min(WHOLE, -(-len(own) // self.ranks.size)) if alone else WHOLE)]
        return found

    def _from_all(self, found: Mapping[str, list[Tensor]], sizes: list[int]) -> dict[str, Tensor]:
        """By modality (sum of counts, D), of which each rank has some chunks."""
        whole = {name: torch.zeros(shape, device=self.device) for name, shape in self.shapes.items()}
        for name, parts in found.items():
            for place, part in zip(self.ranks.share(whole[name].split(sizes)), parts, strict=True):
                place.copy_(part)
        self.ranks.sum_(whole.values())
        return whole

    @property
    def cache_bytes(self) -> int:
        if self.cache is None:
            return 0
        return int(min(self.settings.cache_limit * 1e9, self.cache.record_bytes * self.settings.steps))

    def notes(self) -> list[str]:
        if self.cache is None:
            return []
        return [f"real embeddings: {self.cache.hits} steps from the cache, {self.cache.misses} computed"]

    def close(self) -> None:
        if self.cache is not None:
            self.cache.close()


class FrozenRows(RealRows):
    """Encoders that stand still: the embeddings of all real items are made once, under ``draws`` augmentations where
    the run augments, and a step looks at one of these views."""

    def __init__(self, planned: Plan, found: Sight, *, progress: bool, rehearse: bool) -> None:
        super().__init__(planned, found)

        assert found.frozen is not None
        self.frozen = found.frozen
        self.views = self.settings.draws if self.augment is not None else 1
        self.embeddings: FrozenEmbeddings | RehearsalEmbeddings
        if rehearse:
            self.embeddings = RehearsalEmbeddings(found.encoders)
            return
        self.embeddings = FrozenEmbeddings.build(
            found.items, found.frozen,
            views=self.views, augment=self.augment, draws=self._draw, half=self.settings.cache_dtype == "fp16",
            device=self.device, progress=progress,
        )  # fmt: skip

    def view(self, step: int) -> int:
        """Which view a step looks at."""
        return int(torch.randint(self.views, (), generator=stream(self.settings.seed, "step", step, "view")))

    def eye(self, step: int) -> Eye:
        view = self.view(step)
        draws = {} if self.augment is None else {c: self._draw(view, c) for c in range(len(self.items.groups))}
        return Eye(self.frozen.encoders, self.frozen.weights, self.augment, draws, None, view)

    def groups(self, eye: Eye, step: int, groups: Sequence[range]) -> Iterator[Grouped]:
        for group in groups:
            chosen = [self.positions(step, c) for c in group]
            where = torch.cat(chosen)
            rows = {name: self.embeddings.rows(eye.slot, name, where, self.device) for name in self.items.modalities}
            yield Grouped(rows, tuple(len(own) for own in chosen))

    @property
    def cache_bytes(self) -> int:
        size = 2 if self.settings.cache_dtype == "fp16" else 4
        made = {n: e for n, e in self.frozen.encoders.items() if not isinstance(e, Identity)}
        views = {n: self.views if self.items.modalities[n].spatial else 1 for n in made}
        return sum(views[n] * self.items.values(n) * e.embedding * size for n, e in made.items())

    def _draw(self, view: int, group: int) -> Draw:
        """The same for every run."""
        assert self.augment is not None
        shared = self.settings.dsa_sharing == "step"
        return self.augment.draw(stream(0, "views", view, "dsa", *(() if shared else (group,))))


def real_rows(
    planned: Plan,
    found: Sight,
    *,
    cache: Path | None = None,
    progress: bool = False,
    rehearse: bool = False,
    ranks: Ranks | None = None,
) -> RealRows:
    """The real side of a plan.

    Args:
        cache: folder of cached real statistics of fresh encoders. Embeddings by frozen ones are always kept.
        rehearse: embed nothing, to measure a step.
        ranks: that embed by fresh encoders together.
    """
    if found.frozen is None:
        return FreshRows(planned, found, cache, ranks or Ranks.alone())
    return FrozenRows(planned, found, progress=progress, rehearse=rehearse)
