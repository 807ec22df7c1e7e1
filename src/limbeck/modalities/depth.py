"""Depth maps: 16-bit millimetres, 0 where the sensor read nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from limbeck.errors import ShapeError
from limbeck.modalities.base import Modality

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Depth"]


@dataclass(frozen=True, kw_only=True)
class Depth(Modality):
    """(1, H, W); stored uint16 millimetres; physical metres."""

    kind: ClassVar[str] = "depth"
    dtype: ClassVar[str] = "uint16"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape[0] != 1:
            raise ShapeError(f"a depth map has 1 channel, not {self.shape[0]}", where=self.name)

    def physical(self, stored: Tensor) -> Tensor:
        return stored.float() / 1000

    def to_stored(self, physical: Tensor) -> Tensor:
        import torch

        # through int32: torch has few kernels for uint16
        return (physical * 1000).round().clamp(0, 65535).to(torch.int32).to(torch.uint16)
