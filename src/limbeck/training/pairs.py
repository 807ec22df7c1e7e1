"""Training two towers on pairs by contrast: students, experts, and the towers that look at a set.

Every random number hangs on the seed, the epoch and the batch, so that an epoch is the same however a training is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.augment import DSA
from limbeck.encoders.allocator import keep_freed_memory
from limbeck.encoders.base import Weights
from limbeck.encoders.tower import TwoTower
from limbeck.errors import ConfigError, DataError, NumericsError, ShapeError
from limbeck.losses.contrastive import info_nce
from limbeck.losses.similarity import soft_info_nce, weighted_bce
from limbeck.rng import stream
from limbeck.training.pair_data import Lifted, PairData
from limbeck.training.pair_recipe import PairRecipe
from limbeck.training.transform import transformed

__all__ = ["PairRecipe", "Similarity", "train_pairs"]

Similarity = Callable[[Tensor], Tensor]
"""(m,) positions of pairs -> (m, m) how alike each item of the first modality and each of the second are."""


def train_pairs(
    towers: TwoTower,
    data: PairData,
    recipe: PairRecipe,
    seed: int,
    *,
    device: str | torch.device = "cpu",
    weights: Mapping[str, Mapping[str, Tensor]] | None = None,
    similarity: Similarity | None = None,
    replay: PairData | None = None,
    epochs: range | None = None,
    after_epoch: Callable[[int, dict[str, Weights]], None] | None = None,
    observe: Callable[[int, Tensor, Tensor], None] | None = None,
    report: Callable[[int], None] | None = None,
) -> dict[str, Weights]:
    """Train the trained parts of two towers.

    Args:
        data: on ``device``; :class:`Lifted` where several trainings share frozen parts, else it is lifted here.
        weights: by modality, to start from, in place of the towers' own; they are left as they are.
        similarity: what the loss holds pairs to be, the identity by default.
        replay: the second set of a recipe that has one; without augmentation, and without a similarity.
        epochs: which of the recipe's, counted from 0; all by default. Only without momentum may they begin later:
            then trainings of one epoch after the other are the training of all.
        after_epoch: called with the epoch and copies of the weights.
        observe: called between each forward and its update with the epoch, the (n,) positions of the batch's pairs and
            detached logits (n, n), cosines over the temperature, rows by the first modality.
        report: called after each step with the number of steps so far.

    Returns:
        weights by modality, on the device, without gradients.

    Raises:
        DataError: no pair; fewer in the second set than half a batch.
        ConfigError: modalities that are not the towers', a rate that is missing, epochs that cannot be cut off,
            augmentation of what is lifted already, a second set where the recipe has none or the other way round.
        ShapeError: weights to start from that are not these towers'.
        NumericsError: a loss or weight is not finite; names the seed and the epoch.
    """
    keep_freed_memory()
    chosen = _checked(towers, data, recipe, epochs, weights)
    _check_replay(recipe, replay, similarity)
    networks = _Networks(towers.to(device), data, recipe, seed, torch.device(device), weights, similarity, replay)
    done = 0
    for epoch in chosen:
        for group in networks.optimiser.param_groups:
            group["lr"] = group["base"] * recipe.decay(epoch)
        total = torch.zeros((), device=device)
        for batch, pairs in enumerate(_batches(recipe, len(data), seed, epoch)):
            total += networks.step(epoch, batch, pairs, observe)
            done += 1
            if report is not None:
                report(done)
        networks.guard(total, epoch)
        if after_epoch is not None:
            after_epoch(epoch, networks.weights())
    return networks.weights()


def _checked(
    towers: TwoTower,
    data: PairData,
    recipe: PairRecipe,
    epochs: range | None,
    weights: Mapping[str, Mapping[str, Tensor]] | None,
) -> range:
    """The epochs to train."""
    if not len(data):
        raise DataError("there is nothing to train on")
    if list(towers.towers) != list(data.modalities):
        raise ConfigError(f"towers of {', '.join(towers.towers)} for pairs of {', '.join(data.modalities)}")
    if isinstance(data, Lifted) and recipe.augment != "none":
        raise ConfigError("what is through the frozen towers cannot be augmented", hint="Give the pairs themselves.")
    for name, layout in towers.layouts.items() if weights is not None else ():
        found = {k: tuple(w.shape) for k, w in (weights or {}).get(name, {}).items()}
        if found != dict(layout.shapes):
            raise ShapeError(f"they are not the weights of {towers.towers[name].trained.id}", where=f"{name}, to start")
    chosen = range(recipe.epochs) if epochs is None else epochs
    if len(chosen) and (chosen[0] < 0 or chosen[-1] >= recipe.epochs):
        raise ConfigError(f"epochs {chosen[0]} to {chosen[-1]} of a recipe of {recipe.epochs}")
    if len(chosen) and chosen[0] and not recipe.cuttable:
        word = "Adam" if recipe.optimiser == "adam" else "momentum"
        raise ConfigError(
            f"a training with {word} cannot begin at epoch {chosen[0]}", hint="Train from epoch 0, or without it."
        )
    return chosen


def _check_replay(recipe: PairRecipe, replay: PairData | None, similarity: Similarity | None) -> None:
    if recipe.replay != (replay is not None):
        raise ConfigError(f"a recipe that is {'' if recipe.replay else 'not '}of two sets of pairs", where="replay")
    if replay is None:
        return
    if recipe.augment != "none" or similarity is not None or recipe.loss != "info_nce":
        raise ConfigError("batches of two sets are neither augmented nor weighed", where="replay")
    if len(replay) < recipe.own:
        raise DataError(f"{len(replay)} pairs to draw {recipe.own} of for each batch", where="replay")


def _batches(recipe: PairRecipe, pairs: int, seed: int, epoch: int) -> Iterator[Tensor]:
    """(n,) positions, batch after batch."""
    generator = stream(seed, "pairs", "order", epoch)
    size, steps = min(recipe.own, pairs), recipe.steps(pairs)
    if recipe.batches == "subsets":
        return (torch.randperm(pairs, generator=generator)[:size] for _ in range(steps))
    return iter(torch.randperm(pairs, generator=generator).split(size)[:steps])


class _Networks:
    """Two towers in training."""

    def __init__(
        self,
        towers: TwoTower,
        data: PairData,
        recipe: PairRecipe,
        seed: int,
        device: torch.device,
        weights: Mapping[str, Mapping[str, Tensor]] | None,
        similarity: Similarity | None,
        replay: PairData | None,
    ) -> None:
        self.towers, self.recipe, self.seed, self.similarity = towers, recipe, seed, similarity
        lifted = recipe.augment == "none"
        self.data = Lifted(data, towers) if lifted and not isinstance(data, Lifted) else data
        self.replay = replay if replay is None or isinstance(replay, Lifted) else Lifted(replay, towers)
        self.first, self.modality = next(iter(data.modalities.items()))
        self.lifts, self.augmented = not lifted, not lifted and self.modality.spatial
        start = weights or towers.init(lambda name: stream(seed, "pairs", "init", name))
        self.trained = {
            name: {k: w.detach().to(device, torch.float32, copy=True).requires_grad_() for k, w in own.items()}
            for name, own in start.items()
        }
        groups: list[dict[str, Any]] = [
            {"params": list(own.values()), "lr": recipe.rate(name), "base": recipe.rate(name)}
            for name, own in self.trained.items()
        ]
        decay = recipe.weight_decay
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.SGD(groups, momentum=recipe.momentum, weight_decay=decay, fused=True)
            if recipe.optimiser == "sgd"
            else torch.optim.Adam(groups, weight_decay=decay, fused=True)
        )

    def step(
        self, epoch: int, batch: int, pairs: Tensor, observe: Callable[[int, Tensor, Tensor], None] | None
    ) -> Tensor:
        """One update; the loss before it."""
        draw = stream(self.seed, "pairs", "dropout", epoch, batch) if self.recipe.dropout else None
        a, b = self.towers.embed(self.trained, self._inputs(epoch, batch, pairs), draw).values()
        loss = self._loss(a, b, pairs)
        self.optimiser.zero_grad()
        loss.backward()
        if observe is not None:
            cosines = F.normalize(a.detach(), dim=-1) @ F.normalize(b.detach(), dim=-1).T
            observe(epoch, pairs, cosines / self.recipe.temperature)
        self.optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def _inputs(self, epoch: int, batch: int, pairs: Tensor) -> dict[str, Tensor]:
        """What the trained parts read."""
        found: dict[str, Tensor] = self.data.batch(pairs)
        if self.augmented:
            draw = stream(self.seed, "pairs", "augment", epoch, batch)
            found[self.first] = self._augmented(found[self.first], draw)
        if self.replay is not None:
            draw = stream(self.seed, "pairs", "replay", epoch, batch)
            more = self.replay.batch(torch.randperm(len(self.replay), generator=draw)[: len(pairs)])
            found = {name: torch.cat([x, more[name]]) for name, x in found.items()}
        return self.towers.lift(found) if self.lifts else found

    def _augmented(self, x: Tensor, draw: torch.Generator) -> Tensor:
        if self.recipe.augment == "dsa":
            dsa = DSA()
            return dsa(x, dsa.draw_items(draw, len(x)))
        return transformed(x, self.modality, draw)

    def _loss(self, a: Tensor, b: Tensor, pairs: Tensor) -> Tensor:
        tau = self.recipe.temperature
        if self.recipe.loss == "info_nce" and self.similarity is None:
            return info_nce(a, b, temperature=tau)
        alike = torch.eye(len(a), device=a.device) if self.similarity is None else self.similarity(pairs).to(a)
        loss = weighted_bce if self.recipe.loss == "weighted_bce" else soft_info_nce
        return loss(a, b, alike.detach(), temperature=tau)

    def weights(self) -> dict[str, Weights]:
        """Copies, without gradients."""
        return {name: {k: w.detach().clone() for k, w in own.items()} for name, own in self.trained.items()}

    def guard(self, total: Tensor, epoch: int) -> None:
        """One look an epoch: a value that is not finite stays so."""
        everything = [total, *(w.detach() for own in self.trained.values() for w in own.values())]
        if not bool(torch.stack([w.isfinite().all() for w in everything]).all()):
            raise NumericsError(
                f"two towers of seed {self.seed} have a loss or weight that is not finite",
                where=f"epoch {epoch}",
                hint="Lower the learning rates, or look for values that are not finite in what they are trained on.",
            )
