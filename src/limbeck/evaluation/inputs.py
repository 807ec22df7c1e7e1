"""What students are trained and scored on: a set and a store that fit each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from limbeck.errors import ConfigError, DataError, ShapeError, nearest
from limbeck.modalities import Modality
from limbeck.training import Rows, Tensors, TrainingData

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["columns_of", "training_data"]


def columns_of(synthetic: SyntheticSet | None, store: PairedStore, names: Sequence[str] | None) -> dict[str, Modality]:
    """The modalities students see, normalised as the set they are trained on is.

    Raises:
        DataError: the store has no classes. ConfigError: a modality that is not there.
        ShapeError: the set's modalities or classes are not the store's.
    """
    if not store.classes:
        raise DataError(
            "students need labels to train on; this set has none",
            where=store.path,
            hint="Pairs are scored by retrieval-mdm and its kin: `limbeck protocols`.",
        )
    available = store.modalities if synthetic is None else synthetic.modalities
    for name in names or ():
        if name not in available:
            raise ConfigError(f"no modality {name!r} here", where="--modalities", hint=nearest(name, available))
    columns = {name: modality for name, modality in available.items() if names is None or name in names}
    if synthetic is None:
        return columns
    if synthetic.classes != store.classes:
        raise ShapeError(
            f"the synthetic set has the classes {_few(synthetic.classes)}, the store {_few(store.classes)}",
            where=store.path,
            hint="Score it on the data it was made from.",
        )
    for name, modality in columns.items():
        real = store.modalities.get(name)
        if real is None or real.with_statistics(modality.mean, modality.std) != modality:
            raise ShapeError(
                f"the synthetic set's {_words(modality)} does not fit the store's "
                f"{_words(real) if real else ', '.join(_words(m) for m in store.modalities.values())}",
                where=store.path,
                hint="Score it on a store that was prepared with the same settings.",
            )
    return columns


def _words(modality: Modality) -> str:
    return f"{modality.name} ({modality.kind} of {'x'.join(map(str, modality.shape))})"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", ... ({len(names)})" if len(names) > 4 else "")


def training_data(
    synthetic: SyntheticSet | None, store: PairedStore, columns: Mapping[str, Modality], device: str | torch.device
) -> tuple[TrainingData, list[str]]:
    """What students are trained on, and the names of classes it has no item of."""
    data: TrainingData
    if synthetic is None:
        data = Rows.labelled(store, "train", columns, device)
    else:
        if synthetic.labels is None:
            raise DataError("the synthetic set has no labels")
        own = dataclasses.replace(
            synthetic, modalities=dict(columns), values={name: synthetic.values[name] for name in columns}
        )
        data = Tensors.decoded(own, device)
    present = set(data.labels.tolist())
    return data, [name for label, name in enumerate(store.classes) if label not in present]
