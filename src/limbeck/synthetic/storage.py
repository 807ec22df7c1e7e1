r"""How a set's numbers are kept: whole, in half precision, or as bytes with a scale and an offset.

Bytes are of each item and channel (of vectors: of each item) the codes

.. math:: c = \mathrm{round}\big((x - o) / s\big) \in 0..255, \quad o = \min x, \quad s = (\max x - \min x) / 255

with o and s in float32; a code stands for :math:`o + s c`, computed in float64 and rounded once. A channel of one value
has s = 0 and is kept exactly.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, cast, get_args

from limbeck.errors import ConfigError, NumericsError, ShapeError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.modalities import Modality
    from limbeck.synthetic.set import SyntheticSet

__all__ = [
    "DTYPES", "STORAGES", "Storage", "Stored", "bytes_as", "known_storage", "parts_of", "store_values", "stored_as"
]  # fmt: skip

Storage = Literal["fp32", "fp16", "uint8"]
STORAGES: tuple[str, ...] = get_args(Storage)
DTYPES = {"fp32": "torch.float32", "fp16": "torch.float16", "uint8": "torch.uint8"}
"""What tensors of each are, by torch's name."""
WIDTH = {"fp32": 4, "fp16": 2, "uint8": 1}
LEVELS = 255
Set = TypeVar("Set", bound="SyntheticSet")


@dataclass(frozen=True, eq=False)
class Stored:
    """The numbers of one modality as they are kept.

    Args:
        codes: (N, *shape) float16, or uint8 with the next two.
        scale: (N, C) float32 of items (C, H, W), (N,) of vectors; 0 where all of a channel is one value.
        offset: alike.

    Raises ShapeError where the parts do not fit, NumericsError on a scale or offset that no code can have.
    """

    codes: Tensor
    scale: Tensor | None = None
    offset: Tensor | None = None

    def __post_init__(self) -> None:
        if str(self.codes.dtype) not in (DTYPES["fp16"], DTYPES["uint8"]):
            raise ShapeError(f"kept numbers are {self.codes.dtype}, neither float16 nor uint8")
        parts = (self.scale, self.offset)
        if self.kind == "fp16":
            if parts != (None, None):
                raise ShapeError("float16 has neither scale nor offset")
            return
        wanted = _grid(tuple(self.codes.shape))
        for part in parts:
            if part is None or tuple(part.shape) != wanted or str(part.dtype) != DTYPES["fp32"]:
                found = "not there" if part is None else f"{part.dtype} {tuple(part.shape)}"
                raise ShapeError(f"a scale or offset is {found}, not float32 {wanted}")
            if not part.isfinite().all():
                raise NumericsError("a scale or offset is not finite")
        assert self.scale is not None
        if bool((self.scale < 0).any()):
            raise NumericsError("a scale is below 0")

    @property
    def kind(self) -> Storage:
        """ "fp16" or "uint8"."""
        return "fp16" if str(self.codes.dtype) == DTYPES["fp16"] else "uint8"

    @property
    def bytes(self) -> int:
        """Of codes, scales and offsets."""
        return sum(x.numel() * x.element_size() for x in (self.codes, self.scale, self.offset) if x is not None)

    def values(self) -> Tensor:
        """(N, *shape) float32: what the codes stand for, always finite."""
        import torch

        if self.scale is None or self.offset is None:
            return self.codes.float()
        shape = (*self.scale.shape, *(1,) * (self.codes.ndim - self.scale.ndim))
        found = self.codes.double() * self.scale.double().view(shape) + self.offset.double().view(shape)
        most = torch.finfo(torch.float32).max  # the last code may round beyond it
        return found.clamp(-most, most).float()


def store_values(values: Tensor, kind: str, name: str) -> Stored:
    """(N, *shape) float32 -> the same as ``kind``, "fp16" or "uint8", on the CPU.

    Raises NumericsError naming the modality ``name`` on values that are not finite, or beyond half precision.
    """
    import torch

    x = values.detach().cpu()
    if not x.isfinite().all():
        raise NumericsError(f"{name} has values that are not finite", where=name)
    if kind == "fp16":
        half = x.half()
        if not half.isfinite().all():
            raise NumericsError(
                f"{name} reaches {float(x.abs().max()):.4g}; half precision ends at {torch.finfo(torch.half).max:.0f}",
                where=name,
                hint="Keep it as fp32 or uint8.",
            )
        return Stored(half)
    grid = _grid(tuple(x.shape))
    flat = x.double().reshape(*grid, -1)
    low, high = flat.amin(-1), flat.amax(-1)
    scale = ((high - low) / LEVELS).float()
    steps = torch.where(scale > 0, scale, 1.0).double()  # less than float32 can tell apart is one value
    codes = ((flat - low[..., None]) / steps[..., None]).round().clamp(0, LEVELS)
    codes = torch.where(scale[..., None] > 0, codes, 0.0)
    return Stored(codes.to(torch.uint8).reshape(x.shape), scale, low.float())


def stored_as(synthetic: Set, kind: str) -> Set:
    """The set as ``kind`` keeps it, see :meth:`limbeck.synthetic.SyntheticSet.stored_as`."""
    import torch

    known_storage(kind)
    values, stored = {}, {}
    for name, value in synthetic.values.items():
        now = value.detach().cpu()
        if kind != "fp32":
            kept = synthetic.stored.get(name)
            if kept is None or kept.kind != kind or not torch.equal(kept.values(), now):
                kept = store_values(now, kind, name)
            stored[name], now = kept, kept.values()
        values[name] = now
    return dataclasses.replace(synthetic, values=values, stored=stored)


def known_storage(kind: object) -> Storage:
    """``kind``. Raises ConfigError where it is none of :data:`STORAGES`."""
    if kind not in STORAGES:
        raise ConfigError(f"nothing is stored as {kind!r}", where="--storage", hint=nearest(str(kind), STORAGES))
    return cast(Storage, kind)


def bytes_as(kind: str, items: int, modalities: Mapping[str, Modality]) -> int:
    """Bytes of ``items`` items' numbers, scales and offsets among them."""
    total = 0
    for m in modalities.values():
        numbers, grid = math.prod(m.shape), math.prod(_grid((1, *m.shape)))
        total += items * (WIDTH[kind] * numbers + (8 * grid if kind == "uint8" else 0))
    return total


def _grid(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of scales and offsets: (N, C) of items with height and width, (N,) of vectors."""
    return shape[:2] if len(shape) == 4 else shape[:1]


def parts_of(stored: Mapping[str, Stored]) -> dict[str, Tensor]:
    """Tensors by the name they have in an artifact."""
    found: dict[str, Tensor] = {}
    for name, kept in stored.items():
        found[f"value.{name}"] = kept.codes
        if kept.scale is not None and kept.offset is not None:
            found |= {f"scale.{name}": kept.scale, f"offset.{name}": kept.offset}
    return found
