"""Embeddings of single items, real and synthetic: ImageBindDC, and whatever looks through a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.banks.frozen import require_common_width
from limbeck.engine.groups import groups
from limbeck.engine.objectives.base import Objective
from limbeck.engine.objectives.frequencies import Frequencies
from limbeck.engine.ranks import Ranks
from limbeck.engine.real_rows import real_rows
from limbeck.engine.sight import sight
from limbeck.engine.views import Eye, by_class
from limbeck.losses.grouped import Grouped
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan
    from limbeck.synthetic import SyntheticSet

__all__ = ["CHUNK", "EmbeddingMatching", "RowGroup"]

CHUNK = 32
"""Decoded items whose graph through a frozen encoder is held at once [choice]."""


@dataclass(frozen=True)
class RowGroup:
    """What a method sees of some whole classes, :class:`limbeck.methods.base.RowGroup`.

    Args:
        real_rows, synthetic_rows: embeddings by modality, class after class.
        spectrum: gives frequencies, None where the method asks for none.
        step, classes: which, of the classes' streams.
    """

    real_rows: Grouped
    synthetic_rows: Grouped
    spectrum: Frequencies | None
    seed: int
    step: int
    classes: range

    @cached_property
    def real(self) -> Mapping[str, Tensor]:
        return self.real_rows.means()

    @cached_property
    def synthetic(self) -> Mapping[str, Tensor]:
        return self.synthetic_rows.means()

    @property
    def real_common(self) -> Mapping[str, Tensor]:
        return {}

    @property
    def synthetic_common(self) -> Mapping[str, Tensor]:
        return {}

    def frequencies(self, width: int) -> Tensor:
        assert self.spectrum is not None
        return self.spectrum.at(width)

    def draws(self, name: str) -> list[torch.Generator]:
        return [stream(self.seed, "step", self.step, name, c) for c in self.classes]


class EmbeddingMatching(Objective):
    """Looks at groups of whole classes, or at all pairs in one group; a step sees synthetic items only where the real
    side is in a cache.

    Losses see embeddings only. So a group of more than :data:`CHUNK` items goes through a frozen encoder without a
    graph, the loss gives the slope at each embedding, and each chunk goes through again with its own slopes: the
    gradient of the whole group in the memory of a chunk.

    Args:
        cache: folder of cached real statistics, None to compute them each step.
        progress: show the making of an encoder, and of real embeddings, that are not there yet.
        rehearse: take untrained networks.
        ranks: each takes groups of classes of its own. By pairs each embeds pairs of its own, and the loss sees all.
    """

    def __init__(
        self,
        planned: Plan,
        synthetic: SyntheticSet,
        *,
        cache: Path | None = None,
        progress: bool = False,
        rehearse: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(planned, synthetic, ranks)
        with self.ranks.in_turn():
            found = sight(planned, progress=progress, rehearse=rehearse)
        self.frozen = found.frozen is not None
        if found.frozen is not None and self.method.crosses(len(found.encoders)):
            require_common_width(found.frozen)
        if found.items.pairs is not None:  # one group, whatever classes its items are of
            self.classes, self.per_class = 1, len(synthetic)
        self.by_rows = found.items.pairs is not None and self.ranks.many
        with self.ranks.in_turn():
            self.real_side = real_rows(
                planned, found, cache=cache, progress=progress, rehearse=rehearse, ranks=self.ranks
            )
        self.groups = groups(self.classes, self._group())
        spectrum = planned.method.spectrum
        self.spectrum = None if spectrum is None else Frequencies(spectrum, self.settings.seed, self.device)
        if self.device.type == "cuda" and found.items.pairs is None and not self.frozen:
            self.store.keep_on(self.device, list(synthetic.values))

    def _group(self) -> int:
        if self.settings.stepping == "per_class":
            return 1
        return self.settings.group or (-(-self.classes // self.ranks.size) if self.frozen else self.numerics.group)

    def parts(self, step: int) -> Iterator[dict[str, Tensor]]:
        eye = self.real_side.eye(step)
        if self.spectrum is not None:
            self.spectrum.begin(step)
        own = self.groups if self.by_rows else self.ranks.share(self.groups)
        for classes, real in zip(own, self.real_side.groups(eye, step, own), strict=True):
            rows = self.ranks.part(self.per_class) if self.by_rows else self.rows(classes)
            leaves = self.leaves(rows)
            terms = {name: x.detach() for name, x in self._match(step, eye, classes, real, leaves, rows).items()}
            self.collect(leaves, rows)
            yield self.ranks.once(terms) if self.by_rows else terms

    def _match(
        self, step: int, eye: Eye, classes: range, real: Grouped, leaves: Mapping[str, Tensor], own: slice
    ) -> dict[str, Tensor]:
        """The loss terms; leaves their gradient in the leaves, which by pairs are the rank's ``own``."""
        counts = [self.per_class * self.synthetic.factor**2] * len(classes)
        twice = self.frozen and sum(counts) > CHUNK
        through = {name: self._embedded(eye, name, x, classes, twice) for name, x in leaves.items()}
        rows = through
        if twice or self.by_rows:
            whole = self._of_all(through, own) if self.by_rows else through
            rows = {name: x.detach().requires_grad_(leaves[name].requires_grad) for name, x in whole.items()}
        seen = RowGroup(real, Grouped(rows, tuple(counts)), self.spectrum, self.settings.seed, step, classes)
        terms = self.method.loss(seen)
        torch.stack(list(terms.values())).sum().backward()
        for modality, x in rows.items() if rows is not through else ():
            slope = x.grad if x.grad is None or not self.by_rows else x.grad[own]
            if slope is not None and twice:
                self._again(eye, modality, leaves[modality], slope, classes)
            elif slope is not None:
                through[modality].backward(slope)
        return terms

    def _of_all(self, through: Mapping[str, Tensor], own: slice) -> dict[str, Tensor]:
        """The embeddings of all pairs, of which each rank has its own."""
        whole = {name: x.new_zeros(self.per_class, x.shape[1]) for name, x in through.items()}
        for name, x in through.items():
            whole[name][own] = x.detach()
        self.ranks.sum_(whole.values())
        return whole

    def _embedded(self, eye: Eye, modality: str, values: Tensor, classes: range, twice: bool) -> Tensor:
        """(K*n*l*l, D), without graph where each chunk goes through again."""
        spatial = self.synthetic.modalities[modality].spatial
        if not twice:
            items, counts = by_class(values, self.synthetic.factor, len(classes))
            return eye.rows(modality, items, counts, classes, spatial)
        with torch.no_grad():
            items, counts = by_class(values, self.synthetic.factor, len(classes))
            return torch.cat([eye.rows(modality, x, c, k, spatial) for x, c, k in _chunks(items, counts, classes)])

    def _again(self, eye: Eye, modality: str, leaf: Tensor, slope: Tensor, classes: range) -> None:
        """The gradient by the leaf of what has the ``slope`` (N, D) at its embeddings, a chunk at a time."""
        spatial = self.synthetic.modalities[modality].spatial
        items, counts = by_class(leaf, self.synthetic.factor, len(classes))
        here = items.detach()
        found = []
        start = 0
        for x, c, k in _chunks(here, counts, classes):
            part = x.requires_grad_()
            out = eye.rows(modality, part, c, k, spatial)
            found.append(torch.autograd.grad(out, part, slope[start : start + len(x)])[0])
            start += len(x)
        items.backward(torch.cat(found))

    def propose(self) -> dict[str, Tensor]:
        if self.spectrum is None:
            return {}
        if self.ranks.many and not self.by_rows:
            self.spectrum.sum_over(self.ranks)
        return self.spectrum.proposed()

    def accept(self, proposed: Mapping[str, Tensor]) -> None:
        if self.spectrum is not None:
            self.spectrum.accept(proposed)

    def state(self) -> dict[str, Tensor]:
        return {} if self.spectrum is None else self.spectrum.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if self.spectrum is None:
            super().restore(state)
        else:
            self.spectrum.restore(state)

    @property
    def cache_bytes(self) -> int:
        return self.real_side.cache_bytes

    def notes(self) -> list[str]:
        return self.real_side.notes()

    def close(self) -> None:
        self.real_side.close()


def _chunks(
    items: Tensor, counts: Sequence[int], classes: Sequence[int]
) -> Iterator[tuple[Tensor, list[int], list[int]]]:
    """At most :data:`CHUNK` items of one class at a time, with their number and class."""
    for part, c in zip(items.split(list(counts)), classes, strict=True):
        for some in part.split(CHUNK):
            yield some, [len(some)], [c]
