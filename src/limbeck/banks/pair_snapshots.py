"""The snapshots of experts on pairs, a file an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from limbeck.banks.folder import Shapes, holds, write_tensors
from limbeck.encoders import TwoTower
from limbeck.encoders.flat import Layout
from limbeck.errors import FormatError, NumericsError
from limbeck.rng import key, stream

__all__ = ["SEED", "Snapshots", "expert_seed"]

SEED = 0
"""Of all experts: runs share them."""


def expert_seed(expert: int) -> int:
    """Of an expert's weights, order and augmentation: never a student's, whose seeds are small numbers."""
    return key(SEED, "expert", expert)


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Vectors (P,) by modality, expert and epoch in ``folder``; epoch 0 is the start.

    Args:
        half: epochs from 1 on are what was moved since the start, in half precision.
    """

    folder: Path
    towers: TwoTower
    half: bool

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """How a vector splits into a tower's weights."""
        return self.towers.layouts

    def path(self, expert: int, epoch: int) -> Path:
        """One file an epoch: what is finished is not written again."""
        return self.folder / f"expert-{expert:04d}" / f"epoch-{epoch:02d}.safetensors"

    def shapes(self, epoch: int) -> Shapes:
        """What the file of an epoch holds. A pretrained start is the towers' own and in no file."""
        return {
            name: (layout.size,)
            for name, layout in self.layouts.items()
            if epoch or not self.towers.towers[name].pretrained
        }

    def there(self, expert: int, epoch: int) -> bool:
        """Whether the epoch's file is there and whole; its head alone is read."""
        shapes = self.shapes(epoch)
        return not shapes or holds(self.path(expert, epoch), shapes, self._dtype(epoch))

    def fresh(self, name: str, expert: int, *more: int) -> Tensor:
        """(P,) on the CPU: random weights, those ``train_pairs`` begins with where nothing more is said."""
        draw = stream(expert_seed(expert), "pairs", "init", name, *more)
        return self.layouts[name].flatten(self.towers.towers[name].trained.init(draw))

    def read(self, name: str, expert: int, epoch: int) -> Tensor:
        """(P,) float32 on the CPU. Raises FormatError where the file is damaged."""
        from safetensors import SafetensorError, safe_open

        start = self.towers.towers[name].start
        if not epoch and start is not None:
            return self.layouts[name].flatten(start).cpu()
        path = self.path(expert, epoch)
        hint = "Remove it to have it trained again."
        try:
            with safe_open(path, framework="pt") as file:
                found: Tensor = file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise FormatError(f"not readable ({error})", where=path, hint=hint) from error
        if found.shape != (self.layouts[name].size,) or found.dtype != self._dtype(epoch):
            raise FormatError("holds other weights than it should", where=path, hint=hint)
        return found if found.dtype == torch.float32 else self.read(name, expert, 0) + found.float()

    def write(self, expert: int, epoch: int, vectors: Mapping[str, Tensor]) -> None:
        """Replace the epoch's file in one step; the caller holds the expert's lock.

        Raises NumericsError where half precision cannot hold what was moved.
        """
        if self.half and epoch:
            vectors = {name: (v - self.read(name, expert, 0)).half() for name, v in vectors.items()}
            if not all(bool(v.isfinite().all()) for v in vectors.values()):
                raise NumericsError(
                    f"expert {expert} has moved further than half precision holds", where=f"epoch {epoch}"
                )
        about = {"expert": expert, "epoch": epoch}
        write_tensors(self.path(expert, epoch), {name: vectors[name] for name in self.shapes(epoch)}, about)

    def _dtype(self, epoch: int) -> torch.dtype:
        return torch.float16 if self.half and epoch else torch.float32
