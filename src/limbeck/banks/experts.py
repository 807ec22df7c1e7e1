"""Expert trajectories: students trained on the whole real set, their weights kept after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from filelock import FileLock
from torch import Tensor

from limbeck.data import cache_root
from limbeck.data.store import PairedStore
from limbeck.encoders import Kernels, Precision, encoders_for
from limbeck.encoders.flat import Layout
from limbeck.encoders.machine import computing
from limbeck.errors import ConfigError, DataError, FormatError, NumericsError, nearest
from limbeck.files import digest_of, write_bytes, write_json
from limbeck.progress import Progress
from limbeck.rng import key
from limbeck.training import Recipe, Rows, Student, chunks, train

__all__ = ["EXPERT_RECIPE", "ExpertBank"]

VERSION = 1
SEED = 0
"""Of all experts: runs share them. Its streams are not those of a protocol's students, so that no student is scored
from the very weights that an expert began with."""
EXPERT_RECIPE = Recipe(
    epochs=1, batch=256, optimiser="sgd", rate=0.01, momentum=0.0, weight_decay=0.0, drops=()
)  # MTT's experts, with DSA (docs/audio_visual.md)


@dataclass(frozen=True, eq=False)
class _Branch:
    """The experts of one modality, an encoder and a head each: branches share nothing, so neither do their experts."""

    name: str
    student: Student
    about: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        digest = digest_of(self.about)[:32]
        return cache_root() / "banks" / digest

    @cached_property
    def layout(self) -> Layout:
        return Layout.of(self.student.branch(self.student.init(0), self.name))

    def file(self, expert: int) -> Path:
        return self.folder / f"expert-{expert:04d}.safetensors"

    def snapshot(self, expert: int, epoch: int) -> Tensor:
        """(P,) on the CPU; of the mapped file only these bytes are read."""
        from safetensors import SafetensorError, safe_open

        path = self.file(expert)
        try:
            with safe_open(path, framework="pt") as file:
                found: Tensor = file.get_tensor(f"epoch.{epoch}")
        except (OSError, SafetensorError) as error:
            raise FormatError(
                f"epoch {epoch} is not readable ({error})", where=path, hint="Remove it to have it trained again."
            ) from error
        if tuple(found.shape) != (self.layout.size,):
            raise FormatError("holds another network", where=path, hint="Remove it to have it trained again.")
        return found

    def fresh(self, expert: int, *more: int) -> Tensor:
        """(P,) on the CPU: random weights, an expert's start where nothing more is said."""
        weights = self.student.init(key(SEED, "expert", expert, *more))
        return self.layout.flatten(self.student.branch(weights, self.name))

    def done(self, expert: int) -> int:
        """Snapshots there are, the start among them; 0 where the file is missing or damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file(expert), framework="pt") as file:
                names = set(file.keys())
                whole = all(file.get_slice(n).get_shape() == [self.layout.size] for n in names)
        except (OSError, SafetensorError):
            return 0
        return len(names) if whole and names == {f"epoch.{e}" for e in range(len(names))} else 0

    def keep(self, expert: int, snapshots: Sequence[Tensor]) -> None:
        """Replace the expert's file in one step."""
        from safetensors.torch import save

        write_bytes(self.file(expert), save({f"epoch.{e}": x.contiguous() for e, x in enumerate(snapshots)}))


class ExpertBank:
    """Trajectories by modality, expert and epoch. An expert is kept after each of its epochs and taken up from there;
    neither their number nor their epochs are part of the key, so that more of either adds to what is there.

    Args:
        experts, epochs: how many there are at least.
    """

    def __init__(self, branches: Mapping[str, _Branch], experts: int, epochs: int, rehearse: bool) -> None:
        self._branches, self.experts, self.epochs, self._rehearse = dict(branches), experts, epochs, rehearse

    @classmethod
    def build(
        cls,
        store: PairedStore,
        *,
        experts: int = 20,
        epochs: int = 3,
        channels: int = 128,
        modalities: Sequence[str] | None = None,
        recipe: Recipe = EXPERT_RECIPE,
        device: str | torch.device = "cpu",
        kernels: Kernels = "literal",
        precision: Precision = "fp32",
        at_once: int | None = None,
        progress: bool = False,
        rehearse: bool = False,
    ) -> Self:
        """Train what is missing.

        Experts are students of the recognition protocols, near-zero heads too [choice, docs/audio_visual.md], trained
        on the labelled training items. Another process at the same bank is waited for.

        Args:
            epochs: snapshots are taken at the start and after each.
            modalities: which of the store's; all by default. The others decide the grid.
            recipe: of one epoch, without a schedule or momentum: an epoch begins from weights alone.
            at_once: see ``limbeck.training.train``.
            progress: show it.
            rehearse: train nothing, every snapshot is a fresh network: to measure a step, not to take it.

        Raises:
            ConfigError: unknown modality, no expert, a recipe whose epochs hang together.
            DataError: no labels. NumericsError: a training diverges; names the expert.
        """
        _check(store, experts, epochs, modalities, recipe)
        branches = _branches(store, channels, modalities, recipe, device, kernels, precision)
        for name, branch in branches.items():
            if rehearse or all(branch.done(m) > epochs for m in range(experts)):
                continue
            branch.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(branch.folder.with_suffix(".lock")):
                write_json(branch.folder / "about.json", branch.about)
                data = Rows.labelled(store, "train", {name: store.modalities[name]}, device)
                _train(branch, data, recipe, experts, epochs, torch.device(device), at_once, progress)
        return cls(branches, experts, epochs, rehearse)

    @property
    def id(self) -> str:
        """Of all that the weights depend on."""
        return "+".join(branch.folder.name for branch in self._branches.values())

    def student(self, modality: str) -> Student:
        """What was trained: one encoder and its head."""
        return self._branches[modality].student

    def layout(self, modality: str) -> Layout:
        """How a snapshot splits into the weights of ``student(modality)``, under the names of its branch."""
        return self._branches[modality].layout

    def snapshot(self, modality: str, expert: int, epoch: int, device: str | torch.device = "cpu") -> Tensor:
        """(P,) float32 after ``epoch`` epochs; 0 is the start. Raises FormatError where its file is damaged."""
        branch = self._branches[modality]
        found = branch.fresh(expert, epoch) if self._rehearse else branch.snapshot(expert, epoch)
        return found.to(device)


def _branches(
    store: PairedStore,
    channels: int,
    modalities: Sequence[str] | None,
    recipe: Recipe,
    device: str | torch.device,
    kernels: Kernels,
    precision: Precision,
) -> dict[str, _Branch]:
    chosen = {n: m for n, m in store.modalities.items() if modalities is None or n in modalities}
    branches = {}
    for name, encoder in encoders_for(chosen, channels=channels, kernels=kernels, precision=precision).items():
        student = Student({name: encoder}, {name: chosen[name]}, len(store.classes))
        about = {
            "version": VERSION,
            "kind": "experts",
            "data": store.data_hash,
            "student": student.id,
            "modality": chosen[name].to_dict(),
            "recipe": recipe.to_dict(),
            "seed": SEED,
            **computing(device, kernels, precision),
        }
        branches[name] = _Branch(name, student, about)
    return branches


def _check(store: PairedStore, experts: int, epochs: int, modalities: Sequence[str] | None, recipe: Recipe) -> None:
    if experts < 1 or epochs < 1:
        raise ConfigError(f"a bank of {experts} experts and {epochs} epochs", hint="Both are 1 or more.")
    if recipe.optimiser != "sgd" or recipe.momentum or recipe.warm_up or recipe.drops or recipe.epochs != 1:
        raise ConfigError("experts are trained by plain SGD at one rate", hint="No momentum, warm-up or drops.")
    for name in modalities or ():
        if name not in store.modalities:
            raise ConfigError(f"no modality {name!r}", where=store.path, hint=nearest(name, store.modalities))
    if not store.classes:
        raise DataError("experts need labels; this set has none", where=store.path)


def _train(
    branch: _Branch,
    data: Rows,
    recipe: Recipe,
    experts: int,
    epochs: int,
    device: torch.device,
    at_once: int | None,
    progress: bool,
) -> None:
    """Every epoch of every expert that is not there yet. Epochs are trainings of their own from the snapshot before:
    plain SGD has no other state."""
    done = {m: max(0, branch.done(m) - 1) for m in range(experts)}
    missing = [m for m, epochs_done in done.items() if epochs_done < epochs]
    steps = -(-len(data) // recipe.batch)
    size = at_once or (1 if device.type == "cpu" else len(missing))
    total = sum(epochs - done[m] for m in missing) * steps
    with Progress(f"experts of {branch.name}", total, shown=progress) as bar:
        for group in chunks(missing, max(1, size)):
            kept = {m: _begun(branch, m) for m in group}
            for epoch in range(epochs):
                now = [m for m in group if len(kept[m]) == epoch + 1]
                if not now:
                    continue
                found = _epoch(branch, data, recipe, now, kept, device, _reporter(bar, bar.done, recipe.batch))
                for m, snapshot in zip(now, found, strict=True):
                    kept[m].append(snapshot)
                    branch.keep(m, kept[m])


def _begun(branch: _Branch, expert: int) -> list[Tensor]:
    """The expert's snapshots so far, the start at least."""
    there = [branch.snapshot(expert, e) for e in range(branch.done(expert))]
    return there or [branch.fresh(expert)]


def _epoch(
    branch: _Branch,
    data: Rows,
    recipe: Recipe,
    experts: list[int],
    kept: Mapping[int, list[Tensor]],
    device: torch.device,
    report: Callable[[int], None],
) -> list[Tensor]:
    """One more epoch of experts that have done equally many, (P,) each on the CPU."""
    epoch = len(kept[experts[0]]) - 1
    start = [{f"{branch.name}/{k}": w for k, w in branch.layout.weights(kept[m][-1]).items()} for m in experts]
    seeds = [key(SEED, "expert", m, "epoch", epoch) for m in experts]
    try:
        trained = train(
            branch.student, data, recipe, seeds, device=device, at_once=len(seeds), initial=start, report=report
        )
    except NumericsError as error:
        which = ", ".join(map(str, experts))
        raise NumericsError(
            f"expert {which} of {branch.name} has a loss or weight that is not finite",
            where=f"epoch {epoch}",
            hint="Lower its rate (--method.expert_rate).",
        ) from error
    return [branch.layout.flatten(branch.student.branch(weights, branch.name)).cpu() for weights in trained]


def _reporter(bar: Progress, before: int, batch: int) -> Callable[[int], None]:
    return lambda done: bar.update(before + done, {}, bar.rate(batch))
