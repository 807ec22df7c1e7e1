"""Pictures: one byte a channel, RGB or grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from limbeck.errors import ShapeError
from limbeck.modalities.base import Modality

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Image"]


@dataclass(frozen=True, kw_only=True)
class Image(Modality):
    """(3, H, W) or (1, H, W); stored uint8; physical 0..1.

    The default normalisation is the one of the audio-visual papers for every set (docs/audio_visual.md).
    """

    kind: ClassVar[str] = "image"
    dtype: ClassVar[str] = "uint8"

    mean: tuple[float, ...] = (0.425, 0.396, 0.370)
    std: tuple[float, ...] = (0.229, 0.224, 0.221)

    def __post_init__(self) -> None:
        if self.shape[:1] == (1,) and len(self.mean) == len(self.std) == 3:
            # ITU-R 601 weights, the same that turn a colour picture grey
            for name in ("mean", "std"):
                red, green, blue = getattr(self, name)
                object.__setattr__(self, name, (0.299 * red + 0.587 * green + 0.114 * blue,))
        super().__post_init__()
        if self.shape[0] not in (1, 3):
            raise ShapeError(f"a picture has 1 or 3 channels, not {self.shape[0]}", where=self.name)

    def physical(self, stored: Tensor) -> Tensor:
        return stored.float() / 255

    def to_stored(self, physical: Tensor) -> Tensor:
        import torch

        return (physical * 255).round().clamp(0, 255).to(torch.uint8)
