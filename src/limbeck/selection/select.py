"""Rows of the real set, class by class or over all pairs, by any of the named selections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from limbeck.errors import ConfigError, nearest
from limbeck.rng import numpy_stream

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.data.store import PairedStore

__all__ = ["SELECTIONS", "Features", "members", "select"]

Features = Callable[[], Mapping[str, np.ndarray]]
"""Trained features of the training split, per modality (N, D), in the order of ``store.rows("train")``; called only
where needed."""

Select = Callable[[Sequence[np.ndarray], np.ndarray, int, int, Features], list[np.ndarray]]


def members(store: PairedStore, by_class: bool) -> list[np.ndarray]:
    """The training rows items are chosen from: one array a class, or one of all pairs."""
    if not by_class:
        return [store.rows("train")]
    return [store.rows("train", label) for label in range(len(store.classes))]


def select(
    name: str, store: PairedStore, count: int, *, by_class: bool, seed: int, features: Features
) -> list[np.ndarray]:
    """``count`` rows of each class (or of all pairs), in the order picked.

    Args:
        name: of a selection; SELECTIONS lists them.
        seed: of the draw, where there is one.
        features: gives trained features to the selections that look at them.
    """
    if name not in SELECTIONS:
        raise ConfigError(f"unknown selection {name!r}", where="--init", hint=nearest(name, SELECTIONS))
    return SELECTIONS[name](members(store, by_class), store.rows("train"), count, seed, features)


def _random(groups: Sequence[np.ndarray], _: np.ndarray, count: int, seed: int, __: Features) -> list[np.ndarray]:
    draws = (numpy_stream(seed, "select", i).permutation(len(rows))[:count] for i, rows in enumerate(groups))
    return [rows[draw] for rows, draw in zip(groups, draws, strict=True)]


def _herding(
    groups: Sequence[np.ndarray], train: np.ndarray, count: int, _: int, features: Features
) -> list[np.ndarray]:
    from limbeck.selection.herding import herding

    by_modality = list(features().values())
    return [rows[herding(_Joined(by_modality, np.searchsorted(train, rows)), count).numpy()] for rows in groups]


@dataclass(frozen=True)
class _Joined:
    """Rows of all modalities side by side, each at unit length, else the louder one decides (docs/audio_visual.md).

    They are read and joined when they are asked for: a large group need not fit the memory.
    """

    by_modality: list[np.ndarray]
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), sum(f.shape[1] for f in self.by_modality)

    def __getitem__(self, part: slice) -> Tensor:
        import torch
        from torch.nn.functional import normalize

        chosen = (torch.from_numpy(np.asarray(f[self.rows[part]], dtype=np.float32)) for f in self.by_modality)
        return torch.cat([normalize(f, dim=1) for f in chosen], 1)


SELECTIONS: dict[str, Select] = {"random": _random, "herding": _herding}
