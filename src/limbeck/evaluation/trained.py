"""One student, trained on a set as a protocol trains it, for people to use: what the protocol's score is a score of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from limbeck.encoders import Kernels, Precision, Weights
from limbeck.encoders.build import fitting_channels
from limbeck.encoders.fused import default_kernels
from limbeck.encoders.machine import choose_device
from limbeck.errors import ConfigError, DataError, nearest
from limbeck.evaluation.fusion import ensemble
from limbeck.evaluation.inputs import columns_of
from limbeck.evaluation.protocols import Protocol
from limbeck.evaluation.protocols import protocol as named_protocol
from limbeck.evaluation.students import build_student
from limbeck.modalities import Modality
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.origin import store_of
from limbeck.training import FUSED, Recipe, Rows, Student, Tensors, predict
from limbeck.training import train as train_students

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["Trained", "train"]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained student. Calling it with a batch gives logits; :meth:`score` is what ``limbeck evaluate`` says of it.

    Args:
        student: its architecture.
        weights: by name, on the device, without gradients.
        synthetic: what it was trained on, whose normalisation it reads.
        seed, protocol: which and how.
    """

    student: Student
    weights: Weights
    synthetic: SyntheticSet
    seed: int
    protocol: Protocol
    device: torch.device

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits of each modality and "fused": per modality (N, *shape), normalised as the set is -> (N, C).

        What a batch holds beside the student's modalities, such as labels, is not looked at. Fused logits are the
        logarithm of the mean of the modalities' softmaxes, or those of the student's own fusion.

        Raises ConfigError on a batch without one of the modalities.
        """
        missing = [name for name in self.student.modalities if name not in batch]
        if missing:
            raise ConfigError(f"the batch has no {', '.join(missing)}, which the student was trained on")
        seen = {name: batch[name].to(self.device) for name in self.student.modalities}
        with torch.no_grad():
            logits = self.student.logits(self.weights, seen)
        return logits if FUSED in logits else {**logits, FUSED: ensemble(logits).log()}

    def score(self, data: str | Path | PairedStore | None = None, *, split: str = "test") -> dict[str, float]:
        """Accuracy in percent on real items by modality and "fused", as ``limbeck evaluate`` gives it for this seed.

        Args:
            data: the real set; by default the one the set was made from.
            split: whose items.

        Raises:
            DataError: the real set is not there, has changed, or has no labelled item in ``split``.
            ShapeError: its items are not what the student reads.
        """
        store = store_of(self.synthetic, data)
        columns = columns_of(self.synthetic, store, list(self.student.modalities))
        real = Rows.labelled(store, split, columns, self.device)
        logits = predict(self.student, [self.weights], real)[0]
        fused = logits[FUSED] if FUSED in logits else ensemble(logits)
        found = {FUSED: fused} | logits
        return {name: 100 * float((x.argmax(1) == real.labels).double().mean()) for name, x in found.items()}


def train(
    source: str | Path | SyntheticSet,
    *,
    seed: int = 0,
    student: str = "convnet",
    protocol: str = "recognition-avdd",
    modalities: Sequence[str] | None = None,
    channels: int | None = None,
    device: str = "auto",
    kernels: str = "auto",
    precision: Precision = "fp32",
    progress: bool = False,
) -> Trained:
    """Train one student on a synthetic set as a protocol of recognition does. The real data is not needed.

    The student of a seed is the one that ``limbeck evaluate`` trains for it, to the bit on a CPU with as many threads.

    Args:
        source: a run's folder, an artifact's folder, or a set with labels.
        seed: of its weights, batches and augmentation.
        student: its architecture; ``limbeck evaluate --students`` takes the same names.
        protocol: of recognition, with students that learn from scratch.
        modalities: which of the set's; all by default.
        channels: width of a ConvNet; by default that of the distilling encoder.
        device, kernels, precision: as ``limbeck evaluate`` takes them.

    Returns:
        The trained student, with :meth:`Trained.score`.

    Raises:
        ConfigError: an unknown protocol, student or modality, or a protocol of another kind.
        DataError: a set without labels.
        FormatError: ``source`` holds no synthetic set.
        NumericsError: a loss is not finite.
    """
    from limbeck.progress import Progress

    synthetic = source if isinstance(source, SyntheticSet) else SyntheticSet.load(source)
    rules = _recognition(protocol)
    if synthetic.labels is None:
        raise DataError(
            "the set has no labels to train a classifier on", hint="Sets by pairs: limbeck evaluate trains two towers."
        )
    shown = _shown(synthetic, modalities)
    place = choose_device(device)
    chosen: Any = default_kernels(place) if kernels == "auto" else kernels
    width = channels or _width(synthetic)
    network = build_student(
        student, shown, len(synthetic.classes), channels=width, kernels=_kernels(chosen), precision=precision,
        fusion=rules.fusion,
    )  # fmt: skip
    own = dataclasses.replace(synthetic, modalities=shown, values={name: synthetic.values[name] for name in shown})
    items = Tensors.decoded(own, place)
    recipe = rules.recipe
    assert isinstance(recipe, Recipe)
    steps = -(-len(items) // recipe.batch) * recipe.epochs
    with Progress("student", steps, shown=progress) as bar:
        (weights,) = train_students(
            network, items, recipe, [seed], device=place,
            report=lambda done: bar.update(done, {}, bar.rate(recipe.batch)),
        )  # fmt: skip
    return Trained(network, weights, synthetic, seed, rules, place)


def _recognition(name: str) -> Protocol:
    rules = named_protocol(name)
    if rules.task != "recognition" or rules.frozen:
        raise ConfigError(
            f"{name} trains no classifier from scratch", where="protocol", hint="Use recognition-avdd, or another one."
        )
    return rules


def _shown(synthetic: SyntheticSet, names: Sequence[str] | None) -> dict[str, Modality]:
    for name in names or ():
        if name not in synthetic.modalities:
            raise ConfigError(
                f"no modality {name!r} here", where="modalities", hint=nearest(name, synthetic.modalities)
            )
    return {name: m for name, m in synthetic.modalities.items() if names is None or name in names}


def _width(synthetic: SyntheticSet) -> int:
    settings = synthetic.provenance.get("settings")
    recorded = settings.get("channels") if isinstance(settings, Mapping) else None
    return int(recorded or fitting_channels(synthetic.modalities))


def _kernels(name: str) -> Kernels:
    known: tuple[Kernels, ...] = ("literal", "fused")
    for each in known:
        if each == name:
            return each
    raise ConfigError(f"unknown kernels {name!r}", where="kernels", hint=nearest(name, known))
