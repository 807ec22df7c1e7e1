"""What selections know of the real items beyond the draw of a random number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.selection.kmeans import Halves

__all__ = ["Array", "Evidence", "Group", "Model", "PairEvidence"]

Array = np.ndarray[Any, Any]
Model = Literal["warm-up", "pretrained", "merged"]
"""Whose embeddings: towers warmed up on the real pairs, towers as every network of theirs starts, or a merger of
experts."""


class Evidence(Protocol):
    """What trained networks say of the items of the training split, in the order of ``store.rows("train")``.

    Each is made when it is first asked for, which may take minutes to hours, and is at hand afterwards.
    """

    @property
    def features(self) -> Mapping[str, Array]:
        """Per modality (N, D): embeddings through networks trained on the whole split."""

    @property
    def history(self) -> Array:
        """(E, N) bool: whether an item was classified rightly when it was presented in epoch e of a training."""

    @property
    def gradient_norms(self) -> Array:
        """(N,): last-layer gradient norms, averaged over short trainings (GraNd)."""


class PairEvidence(Protocol):
    """What two towers say of the R pairs of the training split."""

    def features(self, model: Model) -> Halves:
        """Embeddings of unit length, of each item once."""

    @property
    def history(self) -> Array:
        """(E, R) bool: whether a pair's two were each other's nearest in their batch in epoch e of a training."""


@dataclass(frozen=True)
class Group:
    """The items of one choice: a class, or all pairs.

    Args:
        index: of the group among all.
        at: (n,) where its items stand in the training split, ascending.
        seed: of every draw.
    """

    index: int
    at: Array
    seed: int
    evidence: Evidence

    def joined(self) -> Joined:
        """Its trained features, all modalities side by side."""
        return Joined(list(self.evidence.features.values()), self.at)


@dataclass(frozen=True)
class Joined:
    """Rows of all modalities side by side, each at unit length, else the louder one decides (docs/audio_visual.md).

    They are read and joined when they are asked for: a large group need not fit the memory.
    """

    by_modality: list[Array]
    at: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.at), sum(f.shape[1] for f in self.by_modality)

    def __getitem__(self, part: slice) -> Tensor:
        import torch
        from torch.nn.functional import normalize

        chosen = (torch.from_numpy(np.asarray(f[self.at[part]], dtype=np.float32)) for f in self.by_modality)
        return torch.cat([normalize(f, dim=1) for f in chosen], 1)
