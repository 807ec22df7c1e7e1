"""The one supervised loop: students and feature networks, several at once, each as if it were trained alone.

Every random number hangs on the network's own seed, the epoch and the batch, so a network is the same in whichever
group it is trained and from whichever epoch it is resumed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.augment import DSA
from limbeck.encoders.allocator import keep_freed_memory
from limbeck.encoders.base import PUBLISHED_WIDTH, Encoder, Weights, draw_uniform
from limbeck.errors import ConfigError, DataError, NumericsError, ResumeError
from limbeck.files import canonical, write_bytes
from limbeck.modalities import Modality
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["Recipe", "Rows", "Student", "Tensors", "TrainingData", "chunks", "predict", "train"]

HEAD_STD = 1e-4
"""Of a head's weights [code]."""


@dataclass(frozen=True)
class Recipe:
    """How networks are trained; the defaults are the audio-visual papers' (docs/audio_visual.md).

    Args:
        epochs, batch: 30 epochs of batches of 32; the last, smaller batch counts too.
        rates: learning rate of an encoder by the kind of its modality. Depth is trained like a picture and vectors like
            sound [choice].
        head_rate: of the linear heads.
        head_rule: "width" multiplies it by 6272 / D, because a head adds up D features and the papers' rate was chosen
            for 6272 of them; "plain" leaves it.
        drops: before which epochs, counted from 0, every rate is multiplied by a tenth.
        weight_decay: L2, inside Adam's gradient.
        augment: DSA families, drawn per item; one family a batch and modality. Empty for none.
    """

    epochs: int = 30
    batch: int = 32
    rates: Mapping[str, float] = field(
        default_factory=lambda: {"audio": 1e-3, "image": 1e-4, "depth": 1e-4, "text": 1e-3, "feature": 1e-3}
    )
    head_rate: float = 1e-4
    head_rule: Literal["width", "plain"] = "width"
    drops: tuple[int, ...] = (10, 20)
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    augment: tuple[str, ...] = ("color", "crop", "cutout", "flip", "scale", "rotate")

    def decay(self, epoch: int) -> float:
        """What the rates are multiplied by in ``epoch``."""
        return float(0.1 ** sum(epoch >= drop for drop in self.drops))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**dataclasses.asdict(self), "rates": dict(self.rates)}


class TrainingData(Protocol):
    """Labelled items by position."""

    id: str
    """What identifies the items, for checkpoints."""
    labels: Tensor
    """(N,) int64 on the CPU."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """(n,) positions on the CPU -> per modality (n, *shape) float32, normalised, on the device."""


class Tensors:
    """Items in memory, such as a decoded synthetic set."""

    def __init__(self, values: Mapping[str, Tensor], labels: Tensor, device: str | torch.device = "cpu") -> None:
        self.values = {name: value.detach().to(device) for name, value in values.items()}
        self.labels = labels.cpu()
        self.id = _digest(values, labels)

    @classmethod
    def decoded(cls, synthetic: SyntheticSet, device: str | torch.device = "cpu") -> Tensors:
        """All decoded items of a set. Raises DataError where they have no labels."""
        with torch.no_grad():
            values, labels = synthetic.decode()
        if labels is None:
            raise DataError("the synthetic set has no labels to train on", hint="Use a retrieval protocol.")
        return cls(values, labels, device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        return {name: value.index_select(0, indices.to(value.device)) for name, value in self.values.items()}


class Rows:
    """Rows of a store.

    Args:
        modalities: which, and normalised how: a synthetic set's own constants go with what was trained on it.
    """

    def __init__(
        self,
        store: PairedStore,
        rows: np.ndarray[Any, Any],
        modalities: Mapping[str, Modality],
        device: str | torch.device = "cpu",
    ) -> None:
        self.store, self.modalities, self.device = store, dict(modalities), torch.device(device)
        self.rows = np.asarray(rows, dtype=np.int64)
        self.labels = torch.from_numpy(np.asarray(store.labels)[self.rows].copy())
        self.id = f"{store.data_hash}-{hashlib.sha256(self.rows.tobytes()).hexdigest()[:16]}"
        store.keep_on(self.device)

    @classmethod
    def labelled(
        cls,
        store: PairedStore,
        split: str,
        modalities: Mapping[str, Modality],
        device: str | torch.device = "cpu",
    ) -> Rows:
        """The items of a split that have a label. Raises DataError where there is none."""
        rows = store.rows(split)
        rows = rows[np.asarray(store.labels)[rows] >= 0]
        if not len(rows):
            raise DataError(f"no item of split {split!r} has a label", where=store.path)
        return cls(store, rows, modalities, device)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        rows = self.rows[indices.numpy()]
        found = {}
        for name, modality in self.modalities.items():
            if modality == self.store.modalities[name]:
                found[name] = self.store.batch(name, rows, self.device)
            else:
                found[name] = modality.normalise(self.store.stored(name, rows).to(self.device))
        return found


@dataclass(frozen=True, eq=False)
class Student:
    """An encoder and a linear head for each modality. The branches share nothing: their losses are added.

    Args:
        encoders, modalities: by name, the same names in the same order.
        classes: C.
    """

    encoders: Mapping[str, Encoder]
    modalities: Mapping[str, Modality]
    classes: int

    def __post_init__(self) -> None:
        if list(self.encoders) != list(self.modalities) or self.classes < 1:
            raise ConfigError(
                f"a student with encoders for {list(self.encoders)}, items of {list(self.modalities)} and "
                f"{self.classes} classes"
            )

    @property
    def id(self) -> str:
        """The architecture."""
        return "+".join([*(f"{name}:{e.id}" for name, e in self.encoders.items()), f"heads{self.classes}"])

    def init(self, seed: int, device: str | torch.device = "cpu") -> Weights:
        """Fresh weights, a function of ``seed``: default-initialised encoders, heads with weights N(0, 1e-4) [code]."""
        weights: Weights = {}
        for name, encoder in self.encoders.items():
            generator = stream(seed, "student", "weights", name)
            for key, value in encoder.init(generator, device).items():
                weights[f"{name}/{key}"] = value
            width = encoder.embedding
            head = torch.randn(self.classes, width, generator=generator) * HEAD_STD
            weights[f"{name}/head.weight"] = head.to(device)
            weights[f"{name}/head.bias"] = draw_uniform((self.classes,), width, generator, device)
        return weights

    def branch(self, weights: Mapping[str, Tensor], name: str) -> Weights:
        """The weights of one modality's encoder and head."""
        return {key.removeprefix(f"{name}/"): w for key, w in weights.items() if key.startswith(f"{name}/")}

    def logits(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per modality (N, *shape) -> (N, C)."""
        found = {}
        for name, encoder in self.encoders.items():
            own = self.branch(weights, name)
            found[name] = F.linear(encoder.embed(own, batch[name]), own["head.weight"], own["head.bias"])
        return found

    def losses(self, weights: Mapping[str, Tensor], batch: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Cross entropy summed over modalities for each of S students: (S, N, *shape) and (S, N) -> (S,)."""
        if len(labels) == 1:
            alone = {name: w[0] for name, w in weights.items()}
            logits = [v[None] for v in self.logits(alone, {name: x[0] for name, x in batch.items()}).values()]
        else:
            logits = []
            for name, encoder in self.encoders.items():
                own = self.branch(weights, name)
                features = encoder.embed_many(own, batch[name])
                logits.append(
                    torch.baddbmm(own["head.bias"].unsqueeze(1), features, own["head.weight"].transpose(1, 2))
                )
        each = [F.cross_entropy(v.transpose(1, 2), labels, reduction="none").mean(1) for v in logits]
        return torch.stack(each).sum(0)


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
            self._restore(self.file)

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
                self._save(self.file)
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
            "numerics": sorted({f"{getattr(e, 'kernels', '')}-{getattr(e, 'precision', '')}" for e in self._encoders}),
        }
        return hashlib.sha256(canonical(what).encode()).hexdigest()

    @property
    def _encoders(self) -> list[Encoder]:
        return list(self.student.encoders.values())

    def _save(self, path: Path) -> None:
        from safetensors.torch import save

        tensors = {f"weight.{k}": w.detach().cpu().contiguous() for k, w in self.weights.items()}
        steps = 0.0
        for name, weight in self.weights.items():
            state = self.adam.state[weight]
            steps = float(state["step"])
            tensors[f"first.{name}"] = state["exp_avg"].cpu().contiguous()
            tensors[f"second.{name}"] = state["exp_avg_sq"].cpu().contiguous()
        about = {"identity": self._identity(), "epoch": self.epoch, "steps": steps}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(tensors, metadata={"limbeck": json.dumps(about)}))

    def _restore(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()["limbeck"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ResumeError(f"not readable ({error})", where=path, hint="Remove it to start anew.") from error
        if about["identity"] != self._identity():
            raise ResumeError("belongs to another training", where=path, hint="Remove it to start anew.")
        self.epoch = int(about["epoch"])
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[f"weight.{name}"])
                self.adam.state[weight] = {
                    "step": torch.tensor(about["steps"], dtype=torch.float32, device=self.device),
                    "exp_avg": tensors[f"first.{name}"].to(self.device),
                    "exp_avg_sq": tensors[f"second.{name}"].to(self.device),
                }


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


def chunks(items: Sequence[int], size: int) -> Iterator[list[int]]:
    """``items`` in lists of ``size``, the last one shorter."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _digest(values: Mapping[str, Tensor], labels: Tensor) -> str:
    found = hashlib.sha256()
    for tensor in (*values.values(), labels):
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]
