"""Synthetic items through a tower's frozen part, and gradients back through it, a few items at a time.

What is above the frozen part sees it as a fixed function of the items. So a loss of many looks at the same items needs
one pass through it: first without graph, then, when the gradient by what it gave is known, backward. By the chain rule
that is the gradient by the items, and memory is that of one chunk, however many they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from limbeck.encoders.tower import Tower

__all__ = ["CHUNK", "lifted", "lowered"]

CHUNK = 32
"""Items at a time, unless the run's ``group`` says how many [choice]."""


@torch.no_grad()
def lifted(tower: Tower, items: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """(n, \\*shape) -> (n, F) without graph; items themselves where the tower has no frozen part."""
    if tower.frozen is None:
        return items.detach()
    return torch.cat([tower.lift(part) for part in items.detach().split(chunk)])


def lowered(tower: Tower, items: Tensor, gradient: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """The gradient by what :func:`lifted` gave, (n, F) -> by the items, (n, \\*shape)."""
    if tower.frozen is None:
        return gradient
    found = []
    for part, own in zip(items.detach().split(chunk), gradient.split(chunk), strict=True):
        leaf = part.requires_grad_()
        found.append(torch.autograd.grad(tower.lift(leaf), leaf, own)[0])
    return torch.cat(found)
