"""Labelled items by position: in memory, or rows of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import DataError
from limbeck.modalities import Modality

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["Rows", "Tensors", "TrainingData", "chunks"]


class TrainingData(Protocol):
    """Labelled items by position."""

    id: str
    """What identifies the items, for checkpoints."""
    labels: Tensor
    """(N,) int64 on the CPU."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """(n,) positions on the CPU -> per modality (n, *shape) float32, normalised, on the device."""


class Tensors:
    """Items in memory, such as a decoded synthetic set."""

    def __init__(self, values: Mapping[str, Tensor], labels: Tensor, device: str | torch.device = "cpu") -> None:
        self.values = {name: value.detach().to(device) for name, value in values.items()}
        self.labels = labels.cpu()
        self.id = _digest(values, labels)

    @classmethod
    def decoded(cls, synthetic: SyntheticSet, device: str | torch.device = "cpu") -> Tensors:
        """All decoded items of a set. Raises DataError where they have no labels."""
        with torch.no_grad():
            values, labels = synthetic.decode()
        if labels is None:
            raise DataError("the synthetic set has no labels to train on", hint="Use a retrieval protocol.")
        return cls(values, labels, device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        return {name: value.index_select(0, indices.to(value.device)) for name, value in self.values.items()}


class Rows:
    """Rows of a store.

    Args:
        modalities: which, and normalised how: a synthetic set's own constants go with what was trained on it.
    """

    def __init__(
        self,
        store: PairedStore,
        rows: np.ndarray[Any, Any],
        modalities: Mapping[str, Modality],
        device: str | torch.device = "cpu",
    ) -> None:
        self.store, self.modalities, self.device = store, dict(modalities), torch.device(device)
        self.rows = np.asarray(rows, dtype=np.int64)
        self.labels = torch.from_numpy(np.asarray(store.labels)[self.rows].copy())
        self.id = f"{store.data_hash}-{hashlib.sha256(self.rows.tobytes()).hexdigest()[:16]}"
        store.keep_on(self.device, list(modalities))

    @classmethod
    def labelled(
        cls,
        store: PairedStore,
        split: str,
        modalities: Mapping[str, Modality],
        device: str | torch.device = "cpu",
    ) -> Rows:
        """The items of a split that have a label. Raises DataError where there is none."""
        rows = store.rows(split)
        rows = rows[np.asarray(store.labels)[rows] >= 0]
        if not len(rows):
            raise DataError(f"no item of split {split!r} has a label", where=store.path)
        return cls(store, rows, modalities, device)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        rows = self.rows[indices.numpy()]
        found = {}
        for name, modality in self.modalities.items():
            if modality == self.store.modalities[name]:
                found[name] = self.store.batch(name, rows, self.device)
            else:
                found[name] = modality.normalise(self.store.stored(name, rows).to(self.device))
        return found


def chunks(items: Sequence[int], size: int) -> Iterator[list[int]]:
    """``items`` in lists of ``size``, the last one shorter."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _digest(values: Mapping[str, Tensor], labels: Tensor) -> str:
    found = hashlib.sha256()
    for tensor in (*values.values(), labels):
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]
