"""Retrieval of pairs: which image a caption finds, and whether an image finds one of its captions (IR@K, TR@K).

Any two modalities will do; "image" is the one that owns several of the other. Everything is counted, nothing is
sorted: the place of an item is how many others score above it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import DataError, NumericsError, ShapeError

__all__ = ["CUTS", "places", "recall"]

CUTS = (1, 5, 10)
BLOCK = 1 << 18
"""Scores that are compared at once: they stay in the processor's cache for both directions. A GPU gets more."""
GPU_BLOCK = 1 << 26


def recall(images: Tensor, captions: Tensor, owner: Tensor, cuts: Sequence[int] = CUTS) -> dict[str, float]:
    """IR@K and TR@K by cosine, percent, and their mean.

    IR@K is the share of captions whose image is among the first K of all images, TR@K the share of images with at
    least one of their captions among the first K of all captions. The papers print both at 1, 5 and 10, and "Mean",
    of the six. Ties favour the model: see :func:`places`.

    Args:
        images: (I, D), of any length. captions: (C, D), any number for each image but at least one.
        owner: (C,) int64, the image of each caption.

    Returns:
        "IR@1", ..., "TR@1", ..., "Mean".

    Raises:
        ShapeError: the parts do not fit. DataError: an image without caption. NumericsError: a value is not finite.
    """
    if images.ndim != 2 or captions.ndim != 2 or images.shape[1] != captions.shape[1]:
        raise ShapeError(f"images {tuple(images.shape)} cannot be compared with captions {tuple(captions.shape)}")
    of_captions, of_images = places(F.normalize(images, dim=1) @ F.normalize(captions, dim=1).T, owner)
    ways = (("IR", of_captions), ("TR", of_images))
    found = {f"{way}@{k}": 100 * float((at < k).double().mean()) for way, at in ways for k in cuts}
    return found | {"Mean": sum(found.values()) / len(found)}


def places(scores: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
    """Where the right answers come, counted from 0: (I, C), (C,) -> of captions (C,), of images (I,), int64.

    The place of a caption's image is the number of images that score above it; an image's is the number of captions
    above the best of its own. Only what is strictly above counts: of equal scores the right one comes first, so a
    model that gives all the same score is all right. (Sorting instead, the papers' code leaves ties to the sort.)

    Args:
        scores: of every image with every caption.
        owner: int64, the image of each caption.

    Raises:
        ShapeError: the parts do not fit. DataError: an image without caption, or a caption of no image.
        NumericsError: a score is not finite: nothing is above it, so it would count as right.
    """
    if scores.ndim != 2 or owner.shape != (scores.shape[1],):
        raise ShapeError(f"scores {tuple(scores.shape)} and owners {tuple(owner.shape)}, must be (I, C) and (C,)")
    images, captions = scores.shape
    if not captions or int(owner.min()) < 0 or int(owner.max()) >= images:
        raise DataError(f"{captions} captions of {images} images: some caption's image is not there, or none is there")
    if int(torch.bincount(owner, minlength=images).min()) == 0:
        raise DataError("an image has no caption, so it can find none", hint="Leave such images out.")
    own = scores.gather(0, owner.unsqueeze(0))[0]
    best = scores.new_full((images,), -torch.inf).scatter_reduce_(0, owner, own, "amax")
    of_captions = torch.zeros(captions, dtype=torch.int64, device=scores.device)
    of_images = torch.zeros(images, dtype=torch.int64, device=scores.device)
    finite = torch.ones((), dtype=torch.bool, device=scores.device)
    size = max(1, (BLOCK if scores.device.type == "cpu" else GPU_BLOCK) // captions)
    for start in range(0, images, size):
        block = scores[start : start + size]
        of_captions += (block > own).sum(0, dtype=torch.int32)  # a quarter faster than in 64 bits
        of_images[start : start + size] = (block > best[start : start + size].unsqueeze(1)).sum(1, dtype=torch.int32)
        low, high = block.aminmax()
        finite &= low.isfinite() & high.isfinite()
    if not bool(finite):
        raise NumericsError("a score of the retrieval is not finite")
    return of_captions, of_images
