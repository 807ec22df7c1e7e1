"""What a modality is: an item's shape, how it is stored, and the way from stored bytes to what encoders read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from limbeck.errors import ConfigError, FormatError, LimbeckError, ShapeError, nearest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KINDS", "Modality", "modality_from_dict"]

KINDS: dict[str, type[Modality]] = {}
"""Every kind of modality by name; a subclass enters itself."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What a modality may be called: stores and exports make files of that name, so it must never lead out of a folder."""
LABEL = "label"
"""What the class of an item is called in a batch, beside its modalities."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Of a deviation, and of any constant: what float32 can divide by and hold."""


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

    Raises:
        ConfigError: on a name that is not a-z, 0-9 and _, or constants no value can be normalised with.
        ShapeError: if the shape is not of whole numbers from 1, three of them for (C, H, W), one for a vector.
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
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ConfigError(f"a modality cannot be called {self.name!r}", hint="Use a-z, 0-9 and _, a letter first.")
        if self.name == LABEL:
            raise ConfigError(f"a modality cannot be called {self.name!r}", hint="Batches hold the class there.")
        numbers = isinstance(self.shape, tuple) and all(whole(n) for n in self.shape)
        if not numbers or len(self.shape) != (3 if self.spatial else 1):
            form = "(channels, height, width)" if self.spatial else "(width,)"
            raise ShapeError(f"the shape {self.shape!r} is not {form}", where=self.name)
        for constants, least in ((self.mean, -LARGEST), (self.std, SMALLEST)):
            if not isinstance(constants, tuple) or len(constants) not in (1, self.shape[0]):
                raise ConfigError(f"{constants!r} is not a number a channel for {self.shape}", where=self.name)
            if not all(_number(c) and least <= c <= LARGEST for c in constants):
                raise ConfigError(
                    f"nothing can be normalised with mean {self.mean} and std {self.std}", where=self.name
                )

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
    """The inverse of :meth:`Modality.to_dict`. Raises FormatError on an unknown kind or field, or a bad value."""
    if not isinstance(data, Mapping):
        raise FormatError("a modality is no JSON object", where=where)
    fields = dict(data)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
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
    except LimbeckError as error:
        raise FormatError(f"not a {kind} modality: {error.what}", where=where, hint=error.hint) from error


def whole(value: object, most: int = 1 << 24) -> bool:
    """An int from 1 to ``most``; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
