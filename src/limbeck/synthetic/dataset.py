"""A synthetic set as PyTorch sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.synthetic.set import SyntheticSet

__all__ = ["DecodedDataset"]


class DecodedDataset(Dataset[dict[str, "torch.Tensor"]]):
    """The decoded items, normalised, ready for a DataLoader; ``[i]`` is a dict of one tensor a modality, and
    ``label``."""

    def __init__(self, synthetic: SyntheticSet) -> None:
        with torch.no_grad():
            batch, labels = synthetic.decode()
        self.tensors: dict[str, Tensor] = {name: value.detach().cpu() for name, value in batch.items()}
        if labels is not None:
            self.tensors["label"] = labels.cpu()

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return {name: value[index] for name, value in self.tensors.items()}
