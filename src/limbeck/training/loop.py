"""Training.

Every random number hangs on the network's own seed, the epoch and the batch, so a network is the same in whichever
group it is trained and from whichever epoch it is resumed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.augment import DSA
from limbeck.encoders.allocator import keep_freed_memory
from limbeck.encoders.base import Encoder, Weights
from limbeck.errors import ConfigError, DataError, NumericsError, ShapeError
from limbeck.files import digest_of
from limbeck.rng import stream
from limbeck.training.checkpoint import restore, save
from limbeck.training.data import TrainingData, chunks
from limbeck.training.heads import FUSED
from limbeck.training.recipe import Recipe
from limbeck.training.student import Student

__all__ = ["Observe", "train"]

LONGEST = 120
"""Characters of seeds in the name of a checkpoint."""
Observe = Callable[[int, Tensor, Mapping[str, Tensor], Tensor], None]


def train(
    student: Student,
    data: TrainingData,
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    device: str | torch.device = "cpu",
    at_once: int | None = None,
    checkpoint: Path | None = None,
    report: Callable[[int], None] | None = None,
    initial: Sequence[Weights] | None = None,
    observe: Observe | None = None,
) -> list[Weights]:
    """Train one network for each seed.

    Args:
        at_once: how many go through one pass as groups of one convolution; the result is the same to rounding. By
            default one on a CPU, where nothing is gained, and all on a GPU.
        checkpoint: a folder; the state is kept there after every epoch, and training goes on from it.
        report: called after each step with the number of batches all networks have seen.
        initial: weights by seed to start from, in place of the student's fresh ones; they are left as they are.
        observe: called between each forward and its update (one a turn of the student's) with the epoch, the (S, n)
            positions of the batch's items, detached logits by output (S, n, C) and labels (S, n); S networks of a
            group, groups one after the other. A training that goes on from a checkpoint shows only what is left.

    Returns:
        weights by seed, on the device, without gradients.

    Raises:
        DataError: no item.
        ConfigError: no rate for a kind of encoder; not one of ``initial`` for each seed.
        ShapeError: weights in ``initial`` that are not this student's.
        NumericsError: a loss or weight is not finite; names the seed and epoch.
        ResumeError: the checkpoint belongs to another training.
    """
    if not len(data):
        raise DataError("there is nothing to train on")
    keep_freed_memory()
    if initial is not None:
        _check(student, seeds, initial)
    size = at_once or (1 if torch.device(device).type == "cpu" else len(seeds))
    trained: list[Weights] = []
    for group in chunks(list(seeds), max(1, size)):
        first = len(trained)
        start = None if initial is None else initial[first : first + len(group)]
        networks = _Group(student, data, recipe, group, torch.device(device), checkpoint, start)
        stacked = networks.run(report, observe, first * _steps(data, recipe) * recipe.epochs)
        trained += [{name: w[s].clone() for name, w in stacked.items()} for s in range(len(group))]
    return trained


def _check(student: Student, seeds: Sequence[int], initial: Sequence[Weights]) -> None:
    """Weights to start from are one set a seed, of the student's names and shapes."""
    if len(initial) != len(seeds):
        raise ConfigError(f"{len(initial)} sets of weights to start {len(seeds)} students from")
    expected = {name: tuple(w.shape) for name, w in student.init(0).items()}
    for weights in initial:
        found = {name: tuple(w.shape) for name, w in weights.items()}
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise ShapeError(
                    f"{name} is {found.get(name, 'not there')}, a student {student.id} has "
                    f"{expected.get(name, 'no such weight')}",
                    where="weights to start from",
                )


def _steps(data: TrainingData, recipe: Recipe) -> int:
    return math.ceil(len(data) / recipe.batch)


class _Group:
    """Networks that are trained together: weights, gradients and moments have a first dimension S."""

    def __init__(
        self,
        student: Student,
        data: TrainingData,
        recipe: Recipe,
        seeds: list[int],
        device: torch.device,
        checkpoint: Path | None,
        initial: Sequence[Weights] | None,
    ) -> None:
        self.student, self.data, self.recipe, self.seeds, self.device = student, data, recipe, seeds, device
        start = initial or [student.init(seed, device) for seed in seeds]
        self.weights = {
            name: torch.stack([w[name].detach().to(device) for w in start]).requires_grad_() for name in start[0]
        }
        self.started = None if initial is None else _digest(self.weights)
        self.optimiser = self._optimiser()
        self.branches = [
            [w for name, w in self.weights.items() if name.partition("/")[0] in branch] for branch in student.branches
        ]
        self.augment = DSA(recipe.augment) if recipe.augment else None
        self.epoch = 0
        self.file = None if checkpoint is None else checkpoint / f"students-{_short(seeds)}.safetensors"
        if self.file is not None and self.file.exists():
            self.epoch = restore(self.file, self._identity(), self.weights, self.optimiser)

    def run(self, report: Callable[[int], None] | None, observe: Observe | None, done: int) -> Weights:
        steps = _steps(self.data, self.recipe)
        for epoch in range(self.epoch, self.recipe.epochs):
            total = torch.zeros(len(self.seeds), device=self.device)
            for step, indices in enumerate(self._batches(epoch)):
                factor = self.recipe.factor(epoch, step, steps)
                for group in self.optimiser.param_groups:
                    group["lr"] = group["base"] * factor
                total += self._step(epoch, step, indices, observe)
                if report is not None:
                    report(done + (epoch * steps + step + 1) * len(self.seeds))
            self._guard(total, epoch)
            self.epoch = epoch + 1
            if self.file is not None:
                save(self.file, self._identity(), self.epoch, self.weights, self.optimiser)
        return {name: weight.detach() for name, weight in self.weights.items()}

    def _optimiser(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        groups: list[dict[str, Any]] = [
            {"params": [weight], "lr": self._rate(name), "base": self._rate(name)}
            for name, weight in self.weights.items()
        ]
        if recipe.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True)
        return torch.optim.Adam(groups, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True)

    def _batches(self, epoch: int) -> Iterator[Tensor]:
        """(S, n) positions in each network's own order."""
        n = len(self.data)
        orders = [torch.randperm(n, generator=stream(seed, "student", "order", epoch)) for seed in self.seeds]
        return iter(torch.stack(orders).split(self.recipe.batch, dim=1))

    def _step(self, epoch: int, step: int, indices: Tensor, observe: Observe | None) -> Tensor:
        batch = self.data.batch(indices.flatten())
        split = {name: x.unflatten(0, indices.shape) for name, x in batch.items()}
        if self.augment is not None:
            split = {name: self._augmented(name, x, epoch, step) for name, x in split.items()}
        labels = self.data.labels[indices].to(self.device)
        total = torch.zeros(len(self.seeds), device=self.device)
        for turn in self.student.turns:
            logits = self.student.logits_many(self.weights, {name: split[name] for name in turn})
            losses = self.student.losses(logits, labels)
            self.optimiser.zero_grad()  # to None: what a turn does not reach stays as it is
            losses.sum().backward()
            if observe is not None:
                observe(epoch, indices, {name: x.detach() for name, x in logits.items()}, labels)
            if self.recipe.clip is not None:
                for branch in self.branches:
                    _clip(branch, self.recipe.clip)
            self.optimiser.step()
            total += losses.detach()
        return total

    def _augmented(self, name: str, x: Tensor, epoch: int, step: int) -> Tensor:
        """(S, n, *shape): each network draws a family for its batch and parameters for each of its items."""
        if self.augment is None or not self.student.modalities[name].spatial:
            return x
        parts = []
        for seed, part in zip(self.seeds, x, strict=True):
            generator = stream(seed, "student", "augment", name, epoch, step)
            parts.append(self.augment(part, self.augment.draw_items(generator, len(part))))
        return torch.stack(parts) if len(parts) > 1 else parts[0][None]

    def _rate(self, name: str) -> float:
        modality, _, key = name.partition("/")
        if self.recipe.rate is not None:
            return self.recipe.rate
        if modality == FUSED or key.startswith("head."):
            rule = self.recipe.head_rule == "width"
            return self.recipe.head_rate * (self.student.head.narrowness[modality] if rule else 1)
        kind = self.student.modalities[modality].kind
        if kind not in self.recipe.rates:
            raise ConfigError(f"the recipe has no learning rate for {kind} encoders", where="rates")
        return self.recipe.rates[kind]

    def _guard(self, total: Tensor, epoch: int) -> None:
        """One look an epoch: a value that is not finite stays so."""
        fine = total.isfinite()
        for weight in self.weights.values():
            fine &= weight.detach().flatten(1).isfinite().all(1)
        if not bool(fine.all()):
            seed = self.seeds[int((~fine).int().argmax())]
            raise NumericsError(
                f"the student of seed {seed} has a loss or weight that is not finite",
                where=f"epoch {epoch}",
                hint="Look for values that are not finite in what it is trained on, or use precision fp32.",
            )

    def _identity(self) -> str:
        what = {
            "student": self.student.id,
            "data": self.data.id,
            "recipe": self.recipe.to_dict(),
            "seeds": self.seeds,
            "initial": self.started,
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "numerics": sorted({f"{getattr(e, 'kernels', '')}-{getattr(e, 'precision', '')}" for e in self._encoders}),
        }
        return digest_of(what)

    @property
    def _encoders(self) -> list[Encoder]:
        return list(self.student.encoders.values())


@torch.no_grad()
def _clip(weights: Sequence[Tensor], largest: float) -> None:
    """Scale the gradients of each of S networks down to a joint norm of ``largest``, as clip_grad_norm_ does."""
    gradients = [w.grad for w in weights if w.grad is not None]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    shares = (largest / (norms + 1e-6)).clamp(max=1)
    for g in gradients:
        g *= shares.view(-1, *[1] * (g.dim() - 1))


def _short(seeds: Sequence[int]) -> str:
    """The seeds, or what stands for many: a file's name has room for 255 bytes, which a bank's dozen seeds fill."""
    name = "-".join(map(str, seeds))
    return name if len(name) <= LONGEST else f"{len(seeds)}x{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _digest(weights: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]
