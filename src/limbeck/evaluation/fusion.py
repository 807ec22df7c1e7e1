"""How the outputs of a student's modalities become one prediction (AVDD, appendix D)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["ensemble"]


def ensemble(logits: Mapping[str, Tensor]) -> Tensor:
    """p = mean over modalities of softmax(W_m f_m): per modality (N, C) -> (N, C)."""
    return torch.stack([x.softmax(-1) for x in logits.values()]).mean(0)
