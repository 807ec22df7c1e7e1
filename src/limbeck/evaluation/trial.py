"""One scoring, whatever its task: students trained on a set, and what their scores are told with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from limbeck.banks.frozen import Frozen, frozen_encoders
from limbeck.encoders import Kernels, Precision, Weights
from limbeck.errors import ConfigError, nearest
from limbeck.evaluation.frozen_students import embedded_split, frozen_student, seen_by
from limbeck.evaluation.inputs import columns_of, training_data
from limbeck.evaluation.protocols import Protocol
from limbeck.evaluation.protocols import protocol as named_protocol
from limbeck.evaluation.result import Result, Run
from limbeck.evaluation.students import build_student
from limbeck.evaluation.study import refuse_repeats
from limbeck.evaluation.weights import read_weights, require_folder, save_weights, start
from limbeck.files import digest_file
from limbeck.modalities import Modality
from limbeck.progress import Progress
from limbeck.training import FUSIONS, Recipe, Student, TrainingData, train

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["Trial"]


@dataclass(frozen=True)
class Trial:
    """Students of some architectures and seeds, trained on ``synthetic`` or, where it is None, on the store's whole
    training split.

    Args:
        protocol: `limbeck protocols` lists them.
        students: architectures; names of encoders where the protocol keeps them frozen.
        seeds: one student of each architecture for each; their streams share nothing with a distillation's.
        modalities: which of the set's; all by default. One alone gives the papers' A or V columns.
        fusion: how students make one prediction of their modalities; by default the protocol's.
        weights: a safetensors file that every student's encoders start from.
        save_weights: a folder that keeps the trained students.
        channels: width of the students' networks.
        encoders_of: by student whose encoder stands still, ``pretrained`` of
            :func:`limbeck.banks.frozen.frozen_encoders`.
        split: whose items are scored.
        at_once: students trained in one pass; see ``limbeck.training.train``.

    Raises:
        ConfigError: unknown protocol, fusion, student, modality or split; no seed; a seed or student twice.
        ShapeError: the set's modalities or classes are not the store's; weights that do not fit.
        DataError: no labels.
        FormatError: ``weights`` is no file of weights.
    """

    synthetic: SyntheticSet | None
    store: PairedStore
    protocol: str = "recognition-avdd"
    students: Sequence[str] = ("convnet",)
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    modalities: Sequence[str] | None = None
    fusion: str | None = None
    weights: Path | None = None
    save_weights: Path | None = None
    channels: int = 128
    encoders_of: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str | torch.device = "cpu"
    kernels: Kernels = "literal"
    precision: Precision = "fp32"
    split: str = "test"
    at_once: int | None = None
    progress: bool = False
    started: float = field(default_factory=time.monotonic)
    spent: list[float] = field(default_factory=list, init=False, compare=False)
    """Seconds of training, part by part as they are done."""

    def __post_init__(self) -> None:
        if not self.seeds or not self.students:
            raise ConfigError("a score needs at least one seed and one student", where="--seeds")
        refuse_repeats("--seeds", self.seeds)
        refuse_repeats("--students", self.students)
        task = self.rules.task
        if self.fusion is not None and task != "recognition":
            raise ConfigError(f"{self.protocol} has its own classifier", where="--fusion", hint="Leave --fusion out.")
        if self.fusion is not None and self.fusion not in FUSIONS:
            raise ConfigError(f"unknown fusion {self.fusion!r}", where="--fusion", hint=nearest(self.fusion, FUSIONS))

    @cached_property
    def rules(self) -> Protocol:
        return named_protocol(self.protocol)

    @cached_property
    def recipe(self) -> Recipe:
        """How students are trained. Raises ConfigError where the protocol trains them on pairs."""
        if not isinstance(self.rules.recipe, Recipe):
            raise ConfigError(f"{self.protocol} trains towers on pairs, no classes", where="--protocol")
        return self.rules.recipe

    @cached_property
    def columns(self) -> dict[str, Modality]:
        """The modalities students see, normalised as the set they are trained on is."""
        return columns_of(self.synthetic, self.store, self.modalities)

    @cached_property
    def data(self) -> tuple[TrainingData, list[str]]:
        """What students are trained on, and the names of classes it has no item of."""
        return training_data(self.synthetic, self.store, self.columns, self.device)

    @cached_property
    def frozen(self) -> dict[str, Frozen]:
        """By architecture the encoders that stand still, where the protocol has such."""
        return {
            name: frozen_encoders(
                self.store, self.columns, name, precision=self.precision, device=self.device, progress=self.progress,
                pretrained=self.encoders_of.get(name, {}).get("pretrained", "auto"),
            )
            for name in (self.students if self.rules.frozen else ())
        }  # fmt: skip

    @cached_property
    def networks(self) -> dict[str, Student]:
        """Students by architecture, untrained."""
        classes, fusion = len(self.store.classes), self.fusion or self.rules.fusion
        if self.rules.frozen:
            return {name: frozen_student(f, self.columns, classes, fusion) for name, f in self.frozen.items()}
        return {
            name: build_student(
                name,
                self.columns,
                classes,
                channels=self.channels,
                kernels=self.kernels,
                precision=self.precision,
                fusion=fusion,
            )
            for name in self.students
        }

    @property
    def augmented(self) -> bool:
        """Whether students see items augmented: not the whole split through encoders that stand still, whose real items
        are embedded once [choice]."""
        return bool(self.recipe.augment) and not (self.rules.frozen and self.synthetic is None)

    @cached_property
    def given(self) -> Weights | None:
        """The tensors that encoders start from."""
        return None if self.weights is None else read_weights(self.weights)

    def train(self) -> Iterator[tuple[str, Student, list[Weights]]]:
        """Each architecture with its trained students by seed. What is wrong is told before the first is trained."""
        data, _ = self.data
        if self.save_weights is not None:
            require_folder(self.save_weights)
        initial = {name: self._initial(student) for name, student in self.networks.items()}
        steps = -(-len(data) // self.recipe.batch) * self.recipe.epochs * len(self.seeds)
        title = "whole data" if self.synthetic is None else "students"
        with Progress(title, steps * len(self.students), shown=self.progress) as bar:
            for position, (name, student) in enumerate(self.networks.items()):
                began = time.monotonic()
                seen, items = self._seen(name, student)
                trained = train(
                    seen,
                    items,
                    self.recipe,
                    self.seeds,
                    device=self.device,
                    at_once=self.at_once,
                    report=_reporter(bar, position * steps, self.recipe.batch),
                    initial=initial[name],
                )
                self.spent.append(time.monotonic() - began)
                if self.save_weights is not None:
                    about = {"protocol": self.protocol, "data": self.store.data_hash, "dataset": self.store.name}
                    for seed, weights in zip(self.seeds, trained, strict=True):
                        save_weights(self.save_weights, name, seed, student, weights, about)
                yield name, student, trained

    def result(
        self,
        runs: Sequence[Run],
        metrics: Sequence[str],
        chances: dict[str, float],
        items: int,
        *,
        settings: dict[str, Any] | None = None,
        units: dict[str, str] | None = None,
        majority: float | None = None,
        confusion: list[list[int]] | None = None,
        leak: dict[str, Any] | None = None,
    ) -> Result:
        """Scores with everything that says what they mean.

        Args:
            items: real items they were scored on.
            settings: of the task.
            units: of metrics that are no percentages.
        """
        data, missing = self.data
        same = set(chances.values())
        return Result(
            protocol=self.protocol,
            version=self.rules.version,
            selection=self.rules.selection,
            students=tuple(self.students),
            seeds=tuple(self.seeds),
            split=self.split,
            dataset=self.store.name,
            data_hash=self.store.data_hash,
            settings={
                "channels": self.channels,
                "modalities": list(self.columns),
                "fusion": self.fusion or self.rules.fusion,
                "weights": None
                if self.weights is None
                else {"file": self.weights.name, "sha256": digest_file(self.weights)},
                "training_items": len(data),
                "test_items": items,
                "missing_classes": missing,
                "device": str(self.device),
                "kernels": self.kernels,
                "precision": self.precision,
                "threads": torch.get_num_threads(),
                "at_once": self.at_once,
                "torch": torch.__version__,
                **self._stood_on,
                **(settings or {}),
            },
            runs=tuple(runs),
            chance=same.pop() if len(same) == 1 else None,
            chances=chances,
            units={metric: (units or {}).get(metric, "%") for metric in metrics},
            majority=majority,
            seconds=time.monotonic() - self.started,
            training_seconds=sum(self.spent),
            confusion=confusion,
            metrics=tuple(metrics),
            leak=leak,
            notes=() if leak is None else (leak["sentence"],),
        )

    @property
    def _stood_on(self) -> dict[str, Any]:
        """Settings of students whose encoders stand still, JSON-ready."""
        if not self.rules.frozen:
            return {}
        told = {name: {**self.encoders_of.get(name, {}), "id": frozen.id} for name, frozen in self.frozen.items()}
        return {"encoders": told, "augmented": self.augmented}

    def _seen(self, name: str, student: Student) -> tuple[Student, TrainingData]:
        """What is trained, and on what."""
        if not self.rules.frozen:
            return student, self.data[0]
        if self.synthetic is not None:
            return seen_by(student, self.data[0], self.augmented)
        split = embedded_split(self.store, self.columns, self.frozen[name], self.device, progress=self.progress)
        return student.above(), split

    def _initial(self, student: Student) -> list[Weights] | None:
        if self.given is None:
            return None
        return start(student, self.given, self.seeds, self.device, self.weights)


def _reporter(bar: Progress, before: int, batch: int) -> Callable[[int], None]:
    started = time.monotonic()

    def report(done: int) -> None:
        bar.update(before + done, {}, done * batch / max(1e-9, time.monotonic() - started))

    return report
