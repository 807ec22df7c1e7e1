"""Students whose encoders stand still, and what they are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from limbeck.banks.embeddings import FrozenEmbeddings
from limbeck.banks.frozen import Frozen
from limbeck.data.real_items import RealItems
from limbeck.modalities import Modality
from limbeck.training import Embedded, Student, Tensors, TrainingData

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["embedded_split", "frozen_student", "seen_by"]


def frozen_student(frozen: Frozen, modalities: Mapping[str, Modality], classes: int, fusion: str) -> Student:
    """Heads on ``frozen``. Raises ConfigError where its encoders cannot have this fusion."""
    encoders = {name: frozen.encoders[name] for name in modalities}
    return Student(encoders, dict(modalities), classes, fusion, {name: frozen.weights[name] for name in modalities})


def seen_by(student: Student, data: TrainingData, augmented: bool) -> tuple[Student, TrainingData]:
    """A student and its items, those embedded that look the same each time they are seen: all, or what is not spatial
    where the others are ``augmented``."""
    once = [name for name, m in student.modalities.items() if not (augmented and m.spatial)]
    return student.above(once), Embedded(data, student, once)


def embedded_split(
    store: PairedStore,
    modalities: Mapping[str, Modality],
    frozen: Frozen,
    device: str | torch.device = "cpu",
    *,
    progress: bool = False,
) -> Tensors:
    """The labelled training items as ``frozen`` embeds them, without augmentation: made once and kept on disk.

    Raises ConfigError where the cache cannot be written, NumericsError where an embedding is not finite.
    """
    items = RealItems(store, modalities)
    kept = FrozenEmbeddings.build(items, frozen, device=device, progress=progress)
    everything = torch.arange(len(items))
    labels = torch.cat([torch.full((len(group),), label) for label, group in enumerate(items.groups)])
    return Tensors({name: kept.rows(0, name, everything, device) for name in modalities}, labels, device)
