"""Labelled items as encoders that stand still have seen them, each once."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from limbeck.encoders.tower import digest_weights
from limbeck.files import digest_of
from limbeck.training.data import TrainingData
from limbeck.training.student import Student

__all__ = ["Embedded"]

CHUNK = 64
"""Items that go through the encoders at once."""


class Embedded:
    """Other items, some modalities of them through the encoders of ``student`` that stand still; of the others nothing
    is kept a second time. ``student.above(names)`` is what is trained on them.

    Args:
        data: on the device of the student's constants.
        names: which modalities; by default all whose encoder stands still.
    """

    def __init__(self, data: TrainingData, student: Student, names: Iterable[str] | None = None) -> None:
        self.data, self.student, self.labels = data, student, data.labels
        self.names = tuple(name for name in student.constants if names is None or name in set(names))
        self._kept = self._embedded() if self.names else {}
        self.id = digest_of([data.id, digest_weights(self._kept)])[:32]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """(n,) positions on the CPU -> per modality (n, D) or, of what is not embedded, (n, *shape), on the device."""
        left = set(self.student.encoders) - set(self.names)
        found = self.data.batch(indices) if left else {}
        kept = {name: rows.index_select(0, indices.to(rows.device)) for name, rows in self._kept.items()}
        return {name: kept[name] if name in kept else found[name] for name in self.student.encoders}

    @torch.no_grad()
    def _embedded(self) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {name: [] for name in self.names}
        for chunk in torch.arange(len(self)).split(CHUNK):
            batch = self.data.batch(chunk)
            for name, rows in self.student.lift({name: batch[name] for name in self.names}).items():
                parts[name].append(rows)
        return {name: torch.cat(rows) for name, rows in parts.items()}
