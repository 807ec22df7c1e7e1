"""Recognition: train students, or heads, on a set, score them on real items, each modality alone and fused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from limbeck.evaluation.fusion import ensemble
from limbeck.evaluation.leak import leak_of
from limbeck.evaluation.result import Result, Run
from limbeck.evaluation.trial import Trial
from limbeck.training import FUSED, Rows, predict

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["FUSED", "evaluate_recognition"]

CONFUSION_CLASSES = 50
"""Sets of more classes keep no confusion matrix: it would outgrow the rest of the result."""


def evaluate_recognition(synthetic: SyntheticSet | None, store: PairedStore, **settings: Any) -> Result:
    """Score ``synthetic``, or the whole training split of ``store`` where it is None: accuracy in percent.

    Students with fusion "ensemble" are scored by each modality and by the mean of their softmaxes, "fused"; students
    of another fusion have the fused prediction alone. Where a modality says the class, the result's leak says so.

    Args:
        settings: of :class:`~limbeck.evaluation.trial.Trial`, whose errors these are.

    Raises:
        NumericsError: a student's loss is not finite.
    """
    trial = Trial(synthetic, store, **settings)
    classes = len(store.classes)
    test = Rows.labelled(store, trial.split, trial.columns, trial.device)
    runs: list[Run] = []
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for name, student, networks in trial.train():
        for seed, logits in zip(trial.seeds, predict(student, networks, test), strict=True):
            fused = logits[FUSED] if FUSED in logits else ensemble(logits)
            runs.append(Run(name, seed, _scores({FUSED: fused} | logits, test.labels)))
            np.add.at(confusion, (test.labels.numpy(), fused.argmax(1).numpy()), 1)
    metrics = tuple(runs[0].scores)
    return trial.result(
        runs,
        metrics,
        dict.fromkeys(metrics, 100 / classes),
        len(test),
        majority=100 * int(test.labels.bincount().max()) / len(test),
        confusion=confusion.tolist() if classes <= CONFUSION_CLASSES else None,
        leak=leak_of(store, trial.columns, metrics),
    )


def _scores(outputs: Mapping[str, Tensor], labels: Tensor) -> dict[str, float]:
    """Accuracy in percent by metric."""
    return {name: 100 * float((x.argmax(1) == labels).double().mean()) for name, x in outputs.items()}
