"""The heads by name."""

from __future__ import annotations

from collections.abc import Mapping

from limbeck.encoders.base import Encoder
from limbeck.errors import ConfigError, nearest
from limbeck.modalities import Modality
from limbeck.training.heads import Attention, Concat, Ensemble, Head, Sum
from limbeck.training.shared import Shared

__all__ = ["FUSIONS", "build_head"]

FUSIONS = ("ensemble", "sum", "concat", "attention")
"""How a student of recognition makes one prediction of its modalities."""


def build_head(fusion: str, encoders: Mapping[str, Encoder], modalities: Mapping[str, Modality], classes: int) -> Head:
    """The head called ``fusion``: one of FUSIONS, or "arcface" for retrieval.

    Raises ConfigError: unknown, or not for these encoders.
    """
    widths = {name: encoder.embedding for name, encoder in encoders.items()}
    if fusion == "arcface":
        return Shared(widths, classes)
    if fusion == "attention":
        return Attention(encoders, modalities, classes)
    kinds: dict[str, type[Ensemble] | type[Sum] | type[Concat]] = {"ensemble": Ensemble, "sum": Sum, "concat": Concat}
    if fusion not in kinds:
        raise ConfigError(f"unknown fusion {fusion!r}", where="--fusion", hint=nearest(fusion, FUSIONS))
    return kinds[fusion](widths, classes)
