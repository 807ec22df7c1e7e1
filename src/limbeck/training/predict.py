"""What trained networks say of items: each is read, and seen by encoders that stand still, once for all networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from limbeck.encoders.base import Weights
from limbeck.training.data import TrainingData, chunks
from limbeck.training.student import Student

__all__ = ["embed", "predict"]


def predict(
    student: Student, networks: Sequence[Weights], data: TrainingData, *, chunk: int | None = None
) -> list[dict[str, Tensor]]:
    """For each network the logits of every item by output, (N, C) on the CPU."""
    return _each(student, Student.logits, networks, data, chunk)


def embed(
    student: Student, networks: Sequence[Weights], data: TrainingData, *, chunk: int | None = None
) -> list[dict[str, Tensor]]:
    """For each network the embedding of every item by modality, (N, D) on the CPU."""
    return _each(student, Student.embed, networks, data, chunk)


@torch.no_grad()
def _each(
    student: Student,
    function: Callable[[Student, Weights, Mapping[str, Tensor]], dict[str, Tensor]],
    networks: Sequence[Weights],
    data: TrainingData,
    chunk: int | None,
) -> list[dict[str, Tensor]]:
    found: list[dict[str, list[Tensor]]] = [{} for _ in networks]
    trained = student.above() if student.constants else student
    for indices in chunks(range(len(data)), chunk or _chunk(networks)):
        batch = student.lift(data.batch(torch.tensor(indices)))
        for parts, weights in zip(found, networks, strict=True):
            for name, values in function(trained, weights, batch).items():
                parts.setdefault(name, []).append(values.cpu())
    return [{name: torch.cat(p) for name, p in parts.items()} for parts in found]


def _chunk(networks: Sequence[Weights]) -> int:
    """Items a forward: small enough for a processor's caches, large enough for a GPU."""
    device = next(iter(networks[0].values())).device
    return 100 if device.type == "cpu" else 512
