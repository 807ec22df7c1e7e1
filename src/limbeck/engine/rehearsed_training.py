"""What the training of a bank or of experts will take, from a few of its own batches."""

from __future__ import annotations

import dataclasses
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from limbeck.engine.sight import sight
from limbeck.training import Recipe, Rows, Student, train

if TYPE_CHECKING:
    from limbeck.engine.paired import Paired
    from limbeck.engine.plan import Plan
    from limbeck.training.pairs import PairRecipe

__all__ = ["embedding_seconds", "pair_training_seconds", "training_seconds"]

BATCHES = 2
FEW = 16
"""Real items that are embedded to see how long all of them take."""
SEED = 2**40
"""Of networks that are thrown away: no student, member or expert has it."""


def training_seconds(planned: Plan, recipe: Recipe, networks: int, epochs: int) -> float:
    """Seconds that networks of all modalities take for ``epochs`` epochs of the labelled training split."""
    numerics, store = planned.numerics, planned.store
    encoders = numerics.encoders(planned.modalities, planned.settings.channels)
    student = Student(encoders, planned.modalities, len(store.classes))
    every = store.rows("train")
    every = every[np.asarray(store.labels)[every] >= 0]
    few = Rows(store, every[: BATCHES * recipe.batch], planned.modalities, numerics.device)
    short = dataclasses.replace(recipe, epochs=1, warm_up=0, drops=())
    seconds = 0.0
    for _ in range(2):  # the first one compiles and allocates
        began = time.perf_counter()
        train(student, few, short, [SEED], device=numerics.device)
        seconds = time.perf_counter() - began
    batches = math.ceil(len(every) / recipe.batch)
    return seconds / math.ceil(len(few) / recipe.batch) * batches * epochs * networks


def pair_training_seconds(stands: Paired, recipe: PairRecipe, networks: int, epochs: int, device: str) -> float:
    """Seconds that pairs of towers take for ``epochs`` epochs of all training pairs."""
    from limbeck.training.pair_data import RealPairs
    from limbeck.training.pairs import train_pairs

    batches = recipe.steps(len(stands.pairs))
    counted: list[float] = []

    class Enough(Exception):
        """Some batches have been timed."""

    def report(done: int) -> None:
        counted.append(time.perf_counter())
        if done > BATCHES:  # the first one compiles and allocates
            raise Enough

    with suppress(Enough):
        train_pairs(stands.towers, RealPairs(stands.pairs, device), recipe, SEED, device=device, report=report)
    each = (counted[-1] - counted[0]) / max(1, len(counted) - 1)
    return each * batches * epochs * networks


@torch.no_grad()
def embedding_seconds(planned: Plan) -> float:
    """Seconds that the real items take through a run's frozen encoder, under all views, where none is kept yet."""
    found, settings = sight(planned, rehearse=True), planned.settings
    assert found.frozen is not None
    positions = torch.from_numpy(np.concatenate(found.items.groups)[:FEW])
    seconds = 0.0
    for name, modality in found.items.modalities.items():
        views = settings.draws if settings.augment and modality.spatial else 1
        for _ in range(2):  # the first one allocates
            began = time.perf_counter()
            found.frozen.embed(name, found.items.batch(name, positions, planned.numerics.device))
            took = time.perf_counter() - began
        seconds += took * views * found.items.values(name) / len(positions)
    return seconds
