"""Recognition: train students on a set from scratch, score them on real items, each modality alone and fused."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from limbeck.encoders import Kernels, Precision
from limbeck.errors import ConfigError, DataError, ShapeError, nearest
from limbeck.evaluation.fusion import ensemble
from limbeck.evaluation.protocols import protocol as named_protocol
from limbeck.evaluation.result import Result, Run
from limbeck.evaluation.students import build_student
from limbeck.evaluation.study import refuse_repeats
from limbeck.modalities import Modality
from limbeck.progress import Progress
from limbeck.training import Rows, Tensors, TrainingData, predict, train

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["FUSED", "evaluate_recognition"]

FUSED = "fused"
CONFUSION_CLASSES = 50
"""Sets of more classes keep no confusion matrix: it would outgrow the rest of the result."""


def evaluate_recognition(
    synthetic: SyntheticSet | None,
    store: PairedStore,
    *,
    protocol: str = "recognition-avdd",
    students: Sequence[str] = ("convnet",),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    modalities: Sequence[str] | None = None,
    channels: int = 128,
    device: str | torch.device = "cpu",
    kernels: Kernels = "literal",
    precision: Precision = "fp32",
    split: str = "test",
    at_once: int | None = None,
    progress: bool = False,
) -> Result:
    """Score ``synthetic``, or the whole training split of ``store`` where it is None.

    Args:
        students: architectures.
        seeds: one student of each architecture for each; their streams share nothing with a distillation's.
        modalities: which of the set's; all by default. One alone gives the papers' A or V columns.
        channels: width of the students' networks.
        split: whose items are scored.
        at_once: students trained in one pass; see ``limbeck.training.train``.

    Raises:
        ConfigError: unknown protocol, student, modality or split; no seed; a seed or student twice.
        ShapeError: the set's modalities or classes are not the store's.
        DataError: no labels.
        NumericsError: a student's loss is not finite.
    """
    chosen = named_protocol(protocol)
    if not seeds or not students:
        raise ConfigError("a score needs at least one seed and one student", where="--seeds")
    refuse_repeats("--seeds", seeds)
    refuse_repeats("--students", students)
    started = time.monotonic()
    columns = _columns(synthetic, store, modalities)
    train_on, missing = _training_data(synthetic, store, columns, device)
    test = Rows.labelled(store, split, columns, device)
    classes = len(store.classes)
    built = [  # all of them before the first is trained: a mistyped name is told at once
        build_student(name, columns, classes, channels=channels, kernels=kernels, precision=precision)
        for name in students
    ]
    runs: list[Run] = []
    confusion = np.zeros((classes, classes), dtype=np.int64)
    steps = -(-len(train_on) // chosen.recipe.batch) * chosen.recipe.epochs * len(seeds)
    title = "whole data" if synthetic is None else "students"
    with Progress(title, steps * len(students), shown=progress) as bar:
        for position, (name, student) in enumerate(zip(students, built, strict=True)):
            report = _reporter(bar, position * steps, chosen.recipe.batch)
            networks = train(student, train_on, chosen.recipe, seeds, device=device, at_once=at_once, report=report)
            for seed, logits in zip(seeds, predict(student, networks, test), strict=True):
                fused = ensemble(logits)
                runs.append(Run(name, seed, _scores({FUSED: fused, **logits}, test.labels)))
                np.add.at(confusion, (test.labels.numpy(), fused.argmax(1).numpy()), 1)
    return Result(
        protocol=chosen.name,
        version=chosen.version,
        selection=chosen.selection,
        students=tuple(students),
        seeds=tuple(seeds),
        split=split,
        dataset=store.name,
        data_hash=store.data_hash,
        settings={
            "channels": channels,
            "modalities": list(columns),
            "training_items": len(train_on),
            "test_items": len(test),
            "missing_classes": missing,
            "device": str(device),
            "kernels": kernels,
            "precision": precision,
            "threads": torch.get_num_threads(),
            "at_once": at_once,
            "torch": torch.__version__,
        },
        runs=tuple(runs),
        chance=100 / classes,
        majority=100 * int(test.labels.bincount().max()) / len(test),
        seconds=time.monotonic() - started,
        confusion=confusion.tolist() if classes <= CONFUSION_CLASSES else None,
        metrics=(FUSED, *columns),
    )


def _scores(outputs: Mapping[str, Tensor], labels: Tensor) -> dict[str, float]:
    """Accuracy in percent by metric."""
    return {name: 100 * float((x.argmax(1) == labels).double().mean()) for name, x in outputs.items()}


def _columns(synthetic: SyntheticSet | None, store: PairedStore, names: Sequence[str] | None) -> dict[str, Modality]:
    """The modalities students see, normalised as the set they are trained on is."""
    if not store.classes:
        raise DataError(
            "recognition needs labels; this set has none", where=store.path, hint="Use a retrieval protocol."
        )
    available = store.modalities if synthetic is None else synthetic.modalities
    for name in names or ():
        if name not in available:
            raise ConfigError(f"no modality {name!r} here", where="--modalities", hint=nearest(name, available))
    columns = {name: modality for name, modality in available.items() if names is None or name in names}
    if synthetic is None:
        return columns
    if synthetic.classes != store.classes:
        raise ShapeError(
            f"the synthetic set has the classes {_few(synthetic.classes)}, the store {_few(store.classes)}",
            where=store.path,
            hint="Score it on the data it was made from.",
        )
    for name, modality in columns.items():
        real = store.modalities.get(name)
        if real is None or real.with_statistics(modality.mean, modality.std) != modality:
            raise ShapeError(
                f"the synthetic set's {_words(modality)} does not fit the store's "
                f"{_words(real) if real else ', '.join(_words(m) for m in store.modalities.values())}",
                where=store.path,
                hint="Score it on a store that was prepared with the same settings.",
            )
    return columns


def _words(modality: Modality) -> str:
    return f"{modality.name} ({modality.kind} of {'x'.join(map(str, modality.shape))})"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", ... ({len(names)})" if len(names) > 4 else "")


def _training_data(
    synthetic: SyntheticSet | None, store: PairedStore, columns: Mapping[str, Modality], device: str | torch.device
) -> tuple[TrainingData, list[str]]:
    """What students are trained on, and the names of classes it has no item of."""
    data: TrainingData
    if synthetic is None:
        data = Rows.labelled(store, "train", columns, device)
    else:
        if synthetic.labels is None:
            raise DataError("the synthetic set has no labels", hint="Use a retrieval protocol.")
        own = dataclasses.replace(
            synthetic, modalities=dict(columns), values={name: synthetic.values[name] for name in columns}
        )
        data = Tensors.decoded(own, device)
    present = set(data.labels.tolist())
    return data, [name for label, name in enumerate(store.classes) if label not in present]


def _reporter(bar: Progress, before: int, batch: int) -> Callable[[int], None]:
    started = time.monotonic()

    def report(done: int) -> None:
        bar.update(before + done, {}, done * batch / max(1e-9, time.monotonic() - started))

    return report
