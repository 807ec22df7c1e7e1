"""Retrieval by pairs: two towers trained on a set's pairs, asked for the pairs of real items (IR@K, TR@K)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from limbeck.encoders import Weights
from limbeck.evaluation.gallery import MEAN, Gallery
from limbeck.evaluation.pair_trial import PairTrial
from limbeck.evaluation.protocols import SCORED_EVERY, SELECTIONS
from limbeck.evaluation.result import Result, Run
from limbeck.progress import Progress
from limbeck.rng import key
from limbeck.training.pairs import train_pairs

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["evaluate_pairs", "students"]


def evaluate_pairs(synthetic: SyntheticSet | None, store: PairedStore, **settings: Any) -> Result:
    """Score ``synthetic``, or the whole training split of ``store`` where it is None, by the pairs that its students
    find.

    Metrics of pictures and captions are the papers': "IR@1", "IR@5", "IR@10" (percent of captions whose picture is
    among the first K), "TR@1", ... (percent of pictures with one of their captions among the first K), and "Mean" of
    the six; of other modalities "audio->image R@1", ... and "image->audio R@1", ...

    Args:
        settings: of :class:`~limbeck.evaluation.pair_trial.PairTrial`, whose errors these are.

    Raises:
        NumericsError: a student's loss, weight or embedding is not finite.
    """
    started = time.monotonic()
    trial = PairTrial(synthetic, store, **settings)
    test = trial.galleries(trial.split)  # what is wrong is told before the first is trained
    chooser = trial.galleries("validation") if trial.select == "validation" else test
    runs: list[Run] = []
    epochs: dict[str, list[int]] = {}
    for name, seed, weights, epoch in students(trial, chooser):
        runs.append(Run(name, seed, test[name].scores(weights)))
        epochs.setdefault(name, []).append(epoch)
    gallery = next(iter(test.values()))
    same = set(gallery.chances.values())
    return Result(
        protocol=trial.protocol,
        version=trial.rules.version,
        selection=SELECTIONS[trial.select],
        students=tuple(trial.students),
        seeds=tuple(trial.seeds),
        split=trial.split,
        dataset=store.name,
        data_hash=store.data_hash,
        settings={
            **trial.told,
            "training_pairs": len(trial.data),
            "test_items": gallery.items,
            "test_pairs": len(gallery.pairs),
            "epochs": epochs,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        },
        runs=tuple(runs),
        chance=same.pop() if len(same) == 1 else None,
        chances=gallery.chances,
        units=dict.fromkeys(gallery.metrics, "%"),
        majority=None,
        seconds=time.monotonic() - started,
        training_seconds=sum(trial.spent),
        metrics=gallery.metrics,
        items=gallery.items,
        as_published=trial.as_published,
        notes=trial.notes,
    )


def students(trial: PairTrial, chooser: Mapping[str, Gallery]) -> Iterator[tuple[str, int, dict[str, Weights], int]]:
    """Architecture, seed, weights by modality, and the number of epochs that made them, of each student.

    Args:
        chooser: by architecture the pairs that choose the epoch, where any do.
    """
    recipe, similarity = trial.training
    steps = recipe.steps(len(trial.data)) * recipe.epochs
    title = "whole data" if trial.synthetic is None else "students"
    done = 0
    with Progress(title, steps * len(trial.seeds) * len(trial.students), shown=trial.progress) as bar:
        for name in trial.students:
            began = time.monotonic()
            data, replay = trial.seen_through(name), trial.replayed(name)
            trial.spent.append(time.monotonic() - began)
            for seed in trial.seeds:
                before = done

                def report(step: int, before: int = before) -> None:
                    bar.update(before + step, {}, bar.rate(recipe.batch))

                best, began = _Best(chooser[name], recipe.epochs), time.monotonic()
                last = train_pairs(
                    trial.towers[name],
                    data,
                    recipe,
                    key(seed, "student"),  # no draw is shared with a run or an expert of the same seed
                    device=trial.device,
                    similarity=similarity,
                    replay=replay,
                    after_epoch=None if trial.select == "last" else best.look,
                    report=report,
                )
                trial.spent.append(time.monotonic() - began)
                done += steps
                yield name, seed, *(best.taken() if trial.select != "last" else (last, recipe.epochs))


class _Best:
    """The epoch of one training that a gallery likes best; of equals the first."""

    def __init__(self, gallery: Gallery, epochs: int) -> None:
        self._gallery, self._epochs, self._score = gallery, epochs, -1.0
        self._weights: dict[str, Weights] = {}
        self._after = 0

    def look(self, epoch: int, weights: dict[str, Weights]) -> None:
        if epoch % SCORED_EVERY and epoch + 1 < self._epochs:
            return
        score = self._gallery.scores(weights)[MEAN]
        if score > self._score:
            self._score, self._weights, self._after = score, weights, epoch + 1

    def taken(self) -> tuple[dict[str, Weights], int]:
        return self._weights, self._after
