"""What a step sees: class means of embeddings, of the real set and of the synthetic one, under the step's encoders
and draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.augment import DSA, Draw
from limbeck.rng import stream
from limbeck.synthetic.factor import decode

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.encoders.base import Encoder, Weights
    from limbeck.synthetic import SyntheticSet

__all__ = ["COMMON", "ClassGroup", "Eye", "by_class", "real_means", "synthetic_means"]

COMMON = "/common"
"""Follows a modality's name where its mean is of common representations; no modality's name has a slash."""
WHOLE = 128
"""Items a forward where a class is looked at whole, so that memory does not grow with the real set."""

Means = dict[str, Tensor]


@dataclass(frozen=True)
class Eye:
    """One step's encoders, its DSA draws by class, and which real items it looks at.

    Args:
        sample: (seed, stream name) that the real items are drawn from, or None to look at whole classes.
        slot: where its real means are kept: equal slots have equal means.
        project: (modality, (N, D) embeddings) -> (N, D) common representations, where the step has a decoupler.
    """

    encoders: Mapping[str, Encoder]
    weights: Mapping[str, Weights]
    augment: DSA | None
    draws: Mapping[int, Draw]
    sample: tuple[int, tuple[str | int, ...]] | None
    slot: int
    project: Callable[[str, Tensor], Tensor] | None = None

    def means(
        self, modality: str, items: Tensor, counts: Sequence[int], classes: Sequence[int], spatial: bool
    ) -> Means:
        """Class means of embeddings, and of common representations where there is a decoupler.

        Args:
            items: (sum of counts, *shape), class after class.
            counts: items of each class.
            classes: whose draw each run of items gets.
            spatial: vectors are not augmented.

        Returns:
            (K, D) float32 by name.
        """
        embedded = self.rows(modality, items, counts, classes, spatial)
        found = {modality: _by_class(embedded, counts)}
        if self.project is not None:
            found[modality + COMMON] = _by_class(self.project(modality, embedded), counts)
        return found

    def rows(
        self, modality: str, items: Tensor, counts: Sequence[int], classes: Sequence[int], spatial: bool
    ) -> Tensor:
        """The items' embeddings, (N, D) float32; arguments as of :meth:`means`."""
        if self.augment is not None and spatial:
            items = self._augmented(items, counts, classes)
        return self.encoders[modality].embed(self.weights[modality], items)

    def _augmented(self, items: Tensor, counts: Sequence[int], classes: Sequence[int]) -> Tensor:
        assert self.augment is not None
        if len({id(self.draws[c]) for c in classes}) == 1:  # one draw for all
            return self.augment(items, self.draws[classes[0]])
        parts = items.split(list(counts))
        return torch.cat([self.augment(part, self.draws[c]) for part, c in zip(parts, classes, strict=True)])


def _by_class(embedded: Tensor, counts: Sequence[int]) -> Tensor:
    if len(set(counts)) == 1:
        return embedded.view(len(counts), counts[0], -1).mean(1)
    return torch.stack([part.mean(0) for part in embedded.split(list(counts))])


@torch.no_grad()
def real_means(store: PairedStore, eye: Eye, groups: Sequence[range], real_batch: int, device: torch.device) -> Means:
    """By name (C, D): means over up to ``real_batch`` real items of each class, drawn without replacement, or over all
    of them where the eye draws none."""
    parts: dict[str, list[Tensor]] = {}
    for found in (
        _whole(store, eye, groups, device) if eye.sample is None else _drawn(store, eye, groups, real_batch, device)
    ):
        for name, mean in found.items():
            parts.setdefault(name, []).append(mean)
    return {name: torch.cat(found) for name, found in parts.items()}


def _drawn(
    store: PairedStore, eye: Eye, groups: Sequence[range], real_batch: int, device: torch.device
) -> Iterator[Means]:
    assert eye.sample is not None
    seed, name = eye.sample
    for group in groups:
        drawn = []
        for c in group:
            rows = torch.tensor(store.rows("train", c))
            order = torch.randperm(len(rows), generator=stream(seed, *name, "real", c))
            drawn.append(rows[order[:real_batch]])
        rows, counts = torch.cat(drawn), [len(d) for d in drawn]
        for modality in eye.encoders:
            items = store.batch(modality, rows, device)
            yield eye.means(modality, items, counts, group, store.modalities[modality].spatial)


def _whole(store: PairedStore, eye: Eye, groups: Sequence[range], device: torch.device) -> Iterator[Means]:
    for c in (c for group in groups for c in group):
        rows = torch.tensor(store.rows("train", c))
        for modality in eye.encoders:
            total: Means = {}
            for part in rows.split(WHOLE):
                items = store.batch(modality, part, device)
                means = eye.means(modality, items, [len(part)], [c], store.modalities[modality].spatial)
                for name, mean in means.items():
                    total[name] = total.get(name, 0) + mean * (len(part) / len(rows))
            yield total


def synthetic_means(stored: Mapping[str, Tensor], synthetic: SyntheticSet, eye: Eye, classes: range) -> Means:
    """By name (K, D): means over the decoded items of each class, with gradient to ``stored``, its (K*n, *shape)
    values."""
    means: Means = {}
    for name, value in stored.items():
        items, counts = by_class(value, synthetic.factor, len(classes))
        means |= eye.means(name, items, counts, classes, synthetic.modalities[name].spatial)
    return means


def by_class(stored: Tensor, factor: int, classes: int) -> tuple[Tensor, list[int]]:
    """(K*n, *shape) stored values of K classes -> (K*n*l*l, *shape) decoded ones, class after class, and how many each
    class has."""
    cells = decode(stored, factor)  # (l*l, K*n, *shape)
    per_class = len(stored) // classes
    items = cells.unflatten(1, (classes, per_class)).transpose(0, 1).flatten(0, 2)
    return items, [per_class * len(cells)] * classes


class ClassGroup:
    """What a method sees of some whole classes; the synthetic side is not computed before it is looked at.

    Args:
        synthetic: says how its items decode.
        stored: per modality the classes' own (K*n, *shape) values, leaves of the graph.
        eye: the step's encoders and draws.
        classes: which.
        real: by name (K, D).
    """

    def __init__(
        self,
        synthetic: SyntheticSet,
        stored: Mapping[str, Tensor],
        eye: Eye,
        classes: range,
        real: Mapping[str, Tensor],
    ) -> None:
        self._synthetic, self._stored, self._eye = synthetic, stored, eye
        self.classes, self._real = classes, real

    @property
    def real(self) -> Mapping[str, Tensor]:
        return _private(self._real)

    @property
    def synthetic(self) -> Mapping[str, Tensor]:
        return _private(self._means)

    @property
    def real_common(self) -> Mapping[str, Tensor]:
        return _common(self._real)

    @property
    def synthetic_common(self) -> Mapping[str, Tensor]:
        return _common(self._means)

    @cached_property
    def _means(self) -> Means:
        return synthetic_means(self._stored, self._synthetic, self._eye, self.classes)


def _private(means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: mean for name, mean in means.items() if not name.endswith(COMMON)}


def _common(means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removesuffix(COMMON): mean for name, mean in means.items() if name.endswith(COMMON)}
