"""What a step sees: class means of embeddings, of the real set and of the synthetic one, under the step's encoders
and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.augment import DSA, Draw
from limbeck.rng import stream
from limbeck.synthetic.factor import decode

if TYPE_CHECKING:
    from limbeck.banks.random import RandomBank
    from limbeck.data.store import PairedStore
    from limbeck.encoders.base import Encoder, Weights
    from limbeck.engine.settings import RunSettings
    from limbeck.synthetic import SyntheticSet

__all__ = ["ClassGroup", "Eye", "real_means", "step_eye", "synthetic_means"]


@dataclass(frozen=True)
class Eye:
    """One step's encoders and its DSA draws by class."""

    encoders: Mapping[str, Encoder]
    weights: Mapping[str, Weights]
    augment: DSA | None
    draws: Mapping[int, Draw]

    def means(
        self, modality: str, items: Tensor, counts: Sequence[int], classes: Sequence[int], spatial: bool
    ) -> Tensor:
        """Class means of embeddings.

        Args:
            items: (sum of counts, *shape), class after class.
            counts: items of each class.
            classes: whose draw each run of items gets.
            spatial: vectors are not augmented.

        Returns:
            (K, D) float32.
        """
        if self.augment is not None and spatial:
            items = self._augmented(items, counts, classes)
        embedded = self.encoders[modality].embed(self.weights[modality], items)
        if len(set(counts)) == 1:
            return embedded.view(len(counts), counts[0], -1).mean(1)
        return torch.stack([part.mean(0) for part in embedded.split(list(counts))])

    def _augmented(self, items: Tensor, counts: Sequence[int], classes: Sequence[int]) -> Tensor:
        assert self.augment is not None
        if len({id(self.draws[c]) for c in classes}) == 1:  # one draw for all
            return self.augment(items, self.draws[classes[0]])
        parts = items.split(list(counts))
        return torch.cat([self.augment(part, self.draws[c]) for part, c in zip(parts, classes, strict=True)])


def step_eye(bank: RandomBank, step: int, augment: DSA | None, sharing: str, classes: int, device: torch.device) -> Eye:
    """The encoders and draws of a step: a function of the run's seed and the step alone, never of budget or weights."""
    seed, name = bank.names(step)
    draws: dict[int, Draw] = {}
    if augment is not None and sharing == "step":
        draws = dict.fromkeys(range(classes), augment.draw(stream(seed, *name, "dsa")))
    elif augment is not None:
        draws = {c: augment.draw(stream(seed, *name, "dsa", c)) for c in range(classes)}
    return Eye(bank.encoders, bank.weights(step, device), augment, draws)


@torch.no_grad()
def real_means(
    store: PairedStore, eye: Eye, groups: Sequence[range], settings: RunSettings, seed_name: tuple[int, tuple[str |
        int, ...]],
    device: torch.device,
) -> dict[str, Tensor]:  # fmt: skip
    """Per modality (C, D): means over up to ``real_batch`` real items of each class, drawn without replacement."""
    seed, name = seed_name
    parts: dict[str, list[Tensor]] = {modality: [] for modality in eye.encoders}
    for group in groups:
        drawn = []
        for c in group:
            rows = torch.tensor(store.rows("train", c))
            order = torch.randperm(len(rows), generator=stream(seed, *name, "real", c))
            drawn.append(rows[order[: settings.real_batch]])
        rows, counts = torch.cat(drawn), [len(d) for d in drawn]
        for modality, found in parts.items():
            items = store.batch(modality, rows, device)
            found.append(eye.means(modality, items, counts, group, store.modalities[modality].spatial))
    return {modality: torch.cat(found) for modality, found in parts.items()}


def synthetic_means(
    stored: Mapping[str, Tensor], synthetic: SyntheticSet, eye: Eye, classes: range
) -> dict[str, Tensor]:
    """Per modality (K, D): means over the decoded items of each class, with gradient to ``stored``, its (K*n, *shape)
    values."""
    means = {}
    for name, value in stored.items():
        cells = decode(value, synthetic.factor)  # (l*l, K*n, *shape)
        per_class = len(value) // len(classes)
        by_class = cells.unflatten(1, (len(classes), per_class)).transpose(0, 1).flatten(0, 2)
        counts = [per_class * len(cells)] * len(classes)
        means[name] = eye.means(name, by_class, counts, classes, synthetic.modalities[name].spatial)
    return means


class ClassGroup:
    """What a method sees of some whole classes; the synthetic side is not computed before it is looked at.

    Args:
        synthetic: says how its items decode.
        stored: per modality the classes' own (K*n, *shape) values, leaves of the graph.
        eye: the step's encoders and draws.
        classes: which.
        real: per modality (K, D).
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
        self.classes, self.real = classes, real

    @cached_property
    def synthetic(self) -> Mapping[str, Tensor]:
        return synthetic_means(self._stored, self._synthetic, self._eye, self.classes)
