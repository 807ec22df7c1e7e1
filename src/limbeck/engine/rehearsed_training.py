"""What the training of a bank or of experts will take, from a few of its own batches."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from limbeck.training import Recipe, Rows, Student, train

if TYPE_CHECKING:
    from limbeck.engine.plan import Plan

__all__ = ["training_seconds"]

BATCHES = 2
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
