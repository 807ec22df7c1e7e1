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
from limbeck.encoders.fused import default_kernels
from limbeck.encoders.machine import choose_device
from limbeck.errors import ConfigError, DataError, nearest
from limbeck.evaluation.fusion import ensemble
from limbeck.evaluation.inputs import columns_of
from limbeck.evaluation.pair_settings import FRESH, RECOGNITION, default_protocol, fitting_width
from limbeck.evaluation.protocols import Protocol
from limbeck.evaluation.protocols import protocol as named_protocol
from limbeck.evaluation.students import build_student
from limbeck.evaluation.trained_pairs import TrainedTowers, train_towers
from limbeck.modalities import Modality
from limbeck.progress import Progress
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.origin import store_of
from limbeck.training import FUSED, Recipe, Rows, Student, Tensors, predict
from limbeck.training import train as train_students

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["Trained", "TrainedTowers", "train"]


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

    def __repr__(self) -> str:
        rules = f"{self.protocol.name} v{self.protocol.version}"
        return f"<Trained student of seed {self.seed} by {rules} on {self.synthetic!r}>"

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
    student: str | None = None,
    protocol: str | None = None,
    modalities: Sequence[str] | None = None,
    data: str | Path | PairedStore | None = None,
    channels: int | None = None,
    device: str = "auto",
    kernels: str = "auto",
    precision: Precision = "fp32",
    progress: bool = False,
) -> Trained | TrainedTowers:
    """Train one student on a synthetic set as a protocol does.

    The student of a seed is the one that ``limbeck evaluate`` trains for it, to the bit on a CPU with as many threads.
    A classifier needs the set alone; two towers are built with the real set at hand.

    Args:
        source: a run's folder, an artifact's folder, or a set.
        seed: of its weights, batches and augmentation.
        student: its architecture; ``limbeck evaluate --students`` takes the same names. By default "convnet", or the
            set's own tower.
        protocol: of recognition with students that learn from scratch, or of pairs; by default the one that
            ``limbeck evaluate`` takes.
        modalities: which of the set's; all by default. Of a classifier only.
        data: the real set that towers are built with; by default the one the set was made from.
        channels: width of a ConvNet; by default that of the distilling encoder.
        device, kernels, precision: as ``limbeck evaluate`` takes them.

    Returns:
        The trained student, with :meth:`Trained.score`.

    Raises:
        ConfigError: an unknown protocol, student or modality, or a protocol that trains something else.
        DataError: a set without labels under a protocol of recognition; towers without the real set.
        FormatError: ``source`` holds no synthetic set.
        NumericsError: a loss is not finite.
    """
    synthetic = source if isinstance(source, SyntheticSet) else SyntheticSet.load(source)
    rules = named_protocol(protocol or _fitting(synthetic, data))
    place = choose_device(device)
    machine: dict[str, Any] = {
        "channels": channels or fitting_width(synthetic, synthetic.modalities),
        "kernels": default_kernels(place) if kernels == "auto" else _kernels(kernels),
        "precision": precision,
    }
    if rules.task == "pairs" and modalities is None:
        return train_towers(synthetic, data, rules, seed, student, device=place, progress=progress, **machine)
    if rules.task != "recognition" or rules.frozen:
        raise ConfigError(
            f"{rules.name} trains no classifier from scratch",
            where="protocol",
            hint="Use recognition-avdd, or another.",
        )
    if synthetic.labels is None:
        raise DataError("the set has no labels to train a classifier on", hint="Name a protocol by pairs.")
    shown = _shown(synthetic, modalities)
    network = build_student(student or "convnet", shown, len(synthetic.classes), fusion=rules.fusion, **machine)
    own = dataclasses.replace(synthetic, modalities=shown, values={name: synthetic.values[name] for name in shown})
    weights = _trained(network, Tensors.decoded(own, place), rules, seed, place, progress)
    return Trained(network, weights, synthetic, seed, rules, place)


def _fitting(synthetic: SyntheticSet, data: Any) -> str:
    """The protocol that scores such a set. The data is looked at only where the set alone does not tell."""
    settings = synthetic.provenance.get("settings")
    told = settings if isinstance(settings, Mapping) else {}
    looked = told.get("encoder", FRESH) != FRESH or told.get("captions") == "stored"  # a store that an encoder made
    if synthetic.labels is not None and told.get("pairs") is None and not looked:
        return RECOGNITION
    return default_protocol(synthetic, store_of(synthetic, data))


def _trained(
    network: Student, items: Tensors, rules: Protocol, seed: int, device: torch.device, progress: bool
) -> Weights:
    recipe = rules.recipe
    assert isinstance(recipe, Recipe)
    steps = -(-len(items) // recipe.batch) * recipe.epochs
    with Progress("student", steps, shown=progress) as bar:
        (weights,) = train_students(
            network, items, recipe, [seed], device=device,
            report=lambda done: bar.update(done, {}, bar.rate(recipe.batch)),
        )  # fmt: skip
    return weights


def _shown(synthetic: SyntheticSet, names: Sequence[str] | None) -> dict[str, Modality]:
    for name in names or ():
        if name not in synthetic.modalities:
            raise ConfigError(
                f"no modality {name!r} here", where="modalities", hint=nearest(name, synthetic.modalities)
            )
    return {name: m for name, m in synthetic.modalities.items() if names is None or name in names}


def _kernels(name: str) -> Kernels:
    known: tuple[Kernels, ...] = ("literal", "fused")
    for each in known:
        if each == name:
            return each
    raise ConfigError(f"unknown kernels {name!r}", where="kernels", hint=nearest(name, known))
