"""What a modality is: an item's shape, how it is stored, and the way from stored bytes to what encoders read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from limbeck.errors import FormatError, nearest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KINDS", "Modality", "modality_from_dict"]

KINDS: dict[str, type[Modality]] = {}
"""Every kind of modality by name; a subclass enters itself."""


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One column of a paired set.

    Three forms of an item: *stored* (compact, on disk), *physical* (float32 in the modality's own unit: 0..1,
    decibel, metre) and
    *normalised* (float32, what encoders read and what is distilled): ``normalised = (physical - mean) / std``.

    Args:
        name: the column's name in stores, sets and batches; by default the kind.
        shape: of one item, channels first.
        mean, std: per channel, or one number for all, in physical units.
    """

    kind: ClassVar[str]
    dtype: ClassVar[str]
    """NumPy name of the stored type."""
    spatial: ClassVar[bool] = True
    """Items are (C, H, W): augmentation and the factor apply."""

    name: str = ""
    shape: tuple[int, ...]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        KINDS[cls.kind] = cls

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.kind)

    def physical(self, stored: Tensor) -> Tensor:
        """Stored to physical: (N, *shape) of the stored type -> float32."""
        return stored.float()

    def to_stored(self, physical: Tensor) -> Tensor:
        """Physical to stored, rounded and clamped to the valid range."""
        raise NotImplementedError

    def normalise(self, stored: Tensor) -> Tensor:
        """Stored to normalised: (N, *shape) -> float32."""
        mean, std = self._constants(stored)
        return (self.physical(stored) - mean) / std

    def denormalise(self, x: Tensor) -> Tensor:
        """Normalised to physical: the inverse of :meth:`normalise`, gradients included, nothing clamped."""
        mean, std = self._constants(x)
        return x * std + mean

    def with_statistics(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """The same modality with other normalisation constants."""
        return dataclasses.replace(self, mean=mean, std=std)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``kind`` and every field."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        shape = (-1,) + (1,) * (len(self.shape) - 1)
        return (
            torch.tensor(self.mean, device=like.device, dtype=torch.float32).view(shape),
            torch.tensor(self.std, device=like.device, dtype=torch.float32).view(shape),
        )


def modality_from_dict(data: Mapping[str, Any], where: object = None) -> Modality:
    """The inverse of :meth:`Modality.to_dict`. Raises FormatError on an unknown kind or field."""
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise FormatError(f"unknown modality kind {kind!r}", where=where, hint=nearest(str(kind), KINDS))
    cls = KINDS[kind]
    known = {f.name for f in dataclasses.fields(cls)}
    for name in fields:
        if name not in known:
            raise FormatError(f"unknown field {name!r} of a {kind} modality", where=where, hint=nearest(name, known))
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise FormatError(f"not a {kind} modality: {error}", where=where) from error
