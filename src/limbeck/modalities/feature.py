"""Vectors of any encoder, distilled in feature space or used as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from limbeck.modalities.base import Modality

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Feature"]


@dataclass(frozen=True, kw_only=True)
class Feature(Modality):
    """(D,); stored half; physical = the vector itself."""

    kind: ClassVar[str] = "feature"
    dtype: ClassVar[str] = "float16"
    spatial: ClassVar[bool] = False

    def to_stored(self, physical: Tensor) -> Tensor:
        return physical.half()
