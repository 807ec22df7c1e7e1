"""Training the members of a pretrained bank (DAVDD, section "Pretrained bank")."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from limbeck.banks.folder import Shapes, computing_as, found_folder, holds, made_here, name_of, write_tensors
from limbeck.data import cache_root
from limbeck.encoders import ConvNet, Encoder, Kernels, Precision, Weights, encoders_for
from limbeck.errors import ConfigError, DataError, NumericsError, ResumeError, nearest
from limbeck.rng import key, stream
from limbeck.training import Recipe, Rows, Student, predict, train

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.progress import Progress

__all__ = ["BANK_RECIPE", "Pairs", "member_file", "member_seed", "weight_shapes"]

BANK_RECIPE = Recipe(epochs=30, batch=128, optimiser="sgd", rate=0.2, momentum=0.9, warm_up=1, drops=(10, 20), clip=1.0)
"""SGD at 0.2 with momentum 0.9 and batches of 128 are DAVDD's; epochs, warm-up, drops, clip, L2 and DSA are
chosen [choice: docs/audio_visual.md]."""
VERSION = 1
ACTIVATIONS = 4
"""Tensors of a convolution's size that training keeps of each."""


@dataclass(frozen=True)
class Pairs:
    """How the members of a bank are trained. One student is a pair: its branches share nothing."""

    store: PairedStore
    student: Student
    device: torch.device
    folder: Path
    made_with: Mapping[str, Any]
    id: str

    @classmethod
    def of(
        cls,
        store: PairedStore,
        channels: int,
        modalities: Sequence[str] | None,
        device: str | torch.device,
        kernels: Kernels,
        precision: Precision,
    ) -> Self:
        """As ``PretrainedBank.build`` says."""
        for name in modalities or ():
            if name not in store.modalities:
                raise ConfigError(f"no modality {name!r}", where=store.path, hint=nearest(name, store.modalities))
        if not store.classes:
            raise DataError("a bank is trained on labels; this set has none", where=store.path)
        chosen = {n: m for n, m in store.modalities.items() if modalities is None or n in modalities}
        wanted = encoders_for(
            chosen, channels=channels, kernels=kernels, precision=precision
        )  # refuses what there is not
        settings = {
            "version": VERSION,
            "data": store.data_hash,
            "encoders": {n: e.id for n, e in wanted.items()},
            "modalities": [m.to_dict() for m in chosen.values()],
            "recipe": BANK_RECIPE.to_dict(),
            "precision": precision,
        }
        here = made_here(device, kernels=kernels)
        folder, made_with = found_folder(cache_root() / "banks", settings, here)
        encoders = encoders_for(chosen, channels=channels, kernels=made_with["kernels"], precision=precision)
        student = Student(encoders, chosen, len(store.classes))
        return cls(store, student, torch.device(device), folder, made_with, name_of([settings, made_with]))

    @cached_property
    def shapes(self) -> Shapes:
        """Of a member's weights."""
        return weight_shapes(self.student.encoders)

    @property
    def batches(self) -> int:
        """What one member's training takes."""
        labelled = int((self.store.labels[self.store.rows("train")] >= 0).sum())
        return math.ceil(labelled / BANK_RECIPE.batch) * BANK_RECIPE.epochs

    def missing(self, member: int) -> bool:
        """Whether a member's file is not there, or not whole."""
        return not holds(member_file(self.folder, member), self.shapes, torch.float32)

    def fitting(self, members: int) -> int:
        """Members trained in one pass: one on a CPU, where nothing is gained; on a GPU what half its memory holds."""
        if self.device.type != "cuda":
            return 1
        places = sum(
            e.channels * sum(h * w for h, w in e.maps) for e in self.student.encoders.values() if isinstance(e, ConvNet)
        )
        each = max(1, 4 * ACTIVATIONS * BANK_RECIPE.batch * places)
        return max(1, min(members, torch.cuda.mem_get_info(self.device)[0] // 2 // each))

    def train(self, group: Sequence[int], members: int, at_once: int, bar: Progress) -> None:
        """Train some members and write their files."""
        done = sum(not self.missing(m) for m in range(members)) * self.batches

        def report(batches: int) -> None:
            bar.update(done + batches, {"member": group[0] + 1, "of": members}, bar.rate(BANK_RECIPE.batch))

        data = Rows.labelled(self.store, "train", self.student.modalities, self.device)
        checkpoint = self.folder / "training" / f"{group[0]:03d}"
        with computing_as(self.made_with):
            try:
                networks = self._trained(data, group, at_once, checkpoint, report)
            except ResumeError:  # of another machine, or damaged: it saves work, no more
                shutil.rmtree(checkpoint)
                networks = self._trained(data, group, at_once, checkpoint, report)
            for member, weights in zip(group, networks, strict=True):
                about = {"member": member, "scores": self._scores(weights), "made_with": self._made_here()}
                kept = {name: weights[name] for name in self.shapes}
                write_tensors(member_file(self.folder, member), kept, about)
        for member in group:
            shutil.rmtree(self.folder / "training" / f"{member:03d}", ignore_errors=True)

    def _trained(
        self, data: Rows, group: Sequence[int], at_once: int, checkpoint: Path, report: Callable[[int], None]
    ) -> list[Weights]:
        seeds = {member_seed(m): m for m in group}
        try:
            return train(
                self.student, data, BANK_RECIPE, list(seeds),
                device=self.device, at_once=at_once, checkpoint=checkpoint, report=report,
            )  # fmt: skip
        except NumericsError as error:
            member = next((m for seed, m in seeds.items() if str(seed) in error.what), group[0])
            raise NumericsError(
                f"member {member} of the bank has a loss or weight that is not finite",
                where=error.where,
                hint="Look for values that are not finite in the set, or use precision fp32.",
            ) from error

    def _scores(self, weights: Weights) -> dict[str, float]:
        if "validation" not in self.store.splits:
            return {}
        rows = self.store.rows("validation")
        rows = rows[self.store.labels[rows] >= 0]
        if not len(rows):
            return {}
        data = Rows(self.store, rows, self.student.modalities, self.device)
        logits = predict(self.student, [weights], data)[0]
        return {name: 100 * int((x.argmax(1) == data.labels).sum()) / len(data) for name, x in logits.items()}

    def _made_here(self) -> dict[str, Any]:
        """What this member was made with: another machine may have gone on with the bank."""
        return {**made_here(self.device), **{k: v for k, v in self.made_with.items() if k in ("threads", "kernels")}}


def member_seed(member: int) -> int:
    """Of a member's weights, order and augmentation: never a student's, whose seeds are small numbers."""
    return key(member, "bank")


def member_file(folder: Path, member: int) -> Path:
    """Where a member is kept."""
    return folder / f"{member:03d}.safetensors"


def weight_shapes(encoders: Mapping[str, Encoder]) -> Shapes:
    """Of a member's weights, ``modality/name``."""
    return {
        f"{modality}/{name}": tuple(weight.shape)
        for modality, encoder in encoders.items()
        for name, weight in encoder.init(stream(0, "shapes")).items()
    }
