"""Training and prediction.

Every random number hangs on the network's own seed, the epoch and the batch, so a network is the same in whichever
group it is trained and from whichever epoch it is resumed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from limbeck.augment import DSA
from limbeck.encoders.allocator import keep_freed_memory
from limbeck.encoders.base import PUBLISHED_WIDTH, Encoder, Weights
from limbeck.errors import ConfigError, DataError, NumericsError
from limbeck.files import canonical
from limbeck.rng import stream
from limbeck.training.checkpoint import restore, save
from limbeck.training.data import TrainingData, chunks
from limbeck.training.recipe import Recipe
from limbeck.training.student import Student

__all__ = ["predict", "train"]


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
) -> list[Weights]:
    """Train one network for each seed.

    Args:
        at_once: how many go through one pass as groups of one convolution; the result is the same to rounding. By
            default one on a CPU, where nothing is gained, and all on a GPU.
        checkpoint: a folder; the state is kept there after every epoch, and training goes on from it.
        report: called after each step with the number of batches all networks have seen.

    Returns:
        weights by seed, on the device, without gradients.

    Raises:
        NumericsError: a loss or weight is not finite; names the seed and epoch.
        ResumeError: the checkpoint belongs to another training.
    """
    if not len(data):
        raise DataError("there is nothing to train on")
    keep_freed_memory()
    size = at_once or (1 if torch.device(device).type == "cpu" else len(seeds))
    trained: list[Weights] = []
    for group in chunks(list(seeds), max(1, size)):
        done = len(trained) * _steps(data, recipe) * recipe.epochs
        stacked = _Group(student, data, recipe, group, torch.device(device), checkpoint).run(report, done)
        trained += [{name: w[s].clone() for name, w in stacked.items()} for s in range(len(group))]
    return trained


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
    ) -> None:
        self.student, self.data, self.recipe, self.seeds, self.device = student, data, recipe, seeds, device
        drawn = [student.init(seed, device) for seed in seeds]
        self.weights = {name: torch.stack([w[name] for w in drawn]).requires_grad_() for name in drawn[0]}
        groups = [
            {"params": [weight], "lr": self._rate(name), "base": self._rate(name)}
            for name, weight in self.weights.items()
        ]
        self.adam = torch.optim.Adam(groups, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True)
        self.augment = DSA(recipe.augment) if recipe.augment else None
        self.epoch = 0
        self.file = None if checkpoint is None else checkpoint / f"students-{'-'.join(map(str, seeds))}.safetensors"
        if self.file is not None and self.file.exists():
            self.epoch = restore(self.file, self._identity(), self.weights, self.adam)

    def run(self, report: Callable[[int], None] | None, done: int) -> Weights:
        steps = _steps(self.data, self.recipe)
        for epoch in range(self.epoch, self.recipe.epochs):
            for group in self.adam.param_groups:
                group["lr"] = group["base"] * self.recipe.decay(epoch)
            total = torch.zeros(len(self.seeds), device=self.device)
            for step, indices in enumerate(self._batches(epoch)):
                total += self._step(epoch, step, indices)
                if report is not None:
                    report(done + (epoch * steps + step + 1) * len(self.seeds))
            self._guard(total, epoch)
            self.epoch = epoch + 1
            if self.file is not None:
                save(self.file, self._identity(), self.epoch, self.weights, self.adam)
        return {name: weight.detach() for name, weight in self.weights.items()}

    def _batches(self, epoch: int) -> Iterator[Tensor]:
        """(S, n) positions in each network's own order."""
        n = len(self.data)
        orders = [torch.randperm(n, generator=stream(seed, "student", "order", epoch)) for seed in self.seeds]
        return iter(torch.stack(orders).split(self.recipe.batch, dim=1))

    def _step(self, epoch: int, step: int, indices: Tensor) -> Tensor:
        batch = self.data.batch(indices.flatten())
        split = {name: x.unflatten(0, indices.shape) for name, x in batch.items()}
        if self.augment is not None:
            split = {name: self._augmented(name, x, epoch, step) for name, x in split.items()}
        labels = self.data.labels[indices].to(self.device)
        losses = self.student.losses(self.weights, split, labels)
        self.adam.zero_grad()
        losses.sum().backward()
        self.adam.step()
        return losses.detach()

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
        if key.startswith("head."):
            width = self.student.encoders[modality].embedding
            return self.recipe.head_rate * (PUBLISHED_WIDTH / width if self.recipe.head_rule == "width" else 1)
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
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "numerics": sorted({f"{getattr(e, 'kernels', '')}-{getattr(e, 'precision', '')}" for e in self._encoders}),
        }
        return hashlib.sha256(canonical(what).encode()).hexdigest()

    @property
    def _encoders(self) -> list[Encoder]:
        return list(self.student.encoders.values())


@torch.no_grad()
def predict(
    student: Student, networks: Sequence[Weights], data: TrainingData, *, chunk: int | None = None
) -> list[dict[str, Tensor]]:
    """For each network the logits of every item by modality, (N, C) on the CPU. Each item is read once."""
    found: list[dict[str, list[Tensor]]] = [{name: [] for name in student.encoders} for _ in networks]
    for indices in chunks(range(len(data)), chunk or _chunk(networks)):
        batch = data.batch(torch.tensor(indices))
        for parts, weights in zip(found, networks, strict=True):
            for name, logits in student.logits(weights, batch).items():
                parts[name].append(logits.cpu())
    return [{name: torch.cat(p) for name, p in parts.items()} for parts in found]


def _chunk(networks: Sequence[Weights]) -> int:
    """Items a forward: small enough for a processor's caches, large enough for a GPU."""
    device = next(iter(networks[0].values())).device
    return 100 if device.type == "cpu" else 512
