r"""Spherical k-means over pairs, and the medoids of its clusters: MDM's first items.

An item is a caption (a row) and its image, whose embeddings :math:`z^v, z^t` have unit length:
:math:`f = [z^v; z^t] / \sqrt2`, also of unit length. Several captions share an image, so the two halves are kept
apart, :math:`\langle f, c \rangle = (z^v c_v + z^t c_t) / \sqrt2`: an image meets the centres once, and the rows of
double width are never there.

Clusters go by cosine to centres that are plain means, not brought to unit length, as in the program that MDM's script
uses. This is why it is written out here: scikit-learn's KMeans is Euclidean, where a centre's length counts, and
wants every row whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from limbeck.errors import DataError, NumericsError, ShapeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Clusters", "Halves", "medoids", "spherical_kmeans"]

BLOCK = 1 << 24
"""Cosines of rows with centres that are held at once."""
LENGTH = 1e-8
"""Added to a centre's length, so that an empty cluster's centre, which is zero, has cosine 0 with all."""
TIE = 1e-6
"""Cosines that differ by less are the same: single precision tells no more."""


@dataclass(frozen=True)
class Halves:
    """Items as two tables; lengths do not matter.

    Args:
        images: (I, D1). captions: (R, D2). One of them may be of width 0: the other decides alone.
        owner: (R,) int64, the image of each row.

    Raises:
        ShapeError: the tables do not fit, or an owner is not among the images.
    """

    images: Tensor
    captions: Tensor
    owner: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 2 or self.captions.ndim != 2 or self.owner.shape != (len(self.captions),):
            raise ShapeError(
                f"images {tuple(self.images.shape)}, captions {tuple(self.captions.shape)} and owners "
                f"{tuple(self.owner.shape)}, must be (I, D), (R, D) and (R,)"
            )
        if not len(self) or not self.images.shape[1] + self.captions.shape[1]:
            raise ShapeError("there is no item to cluster")
        if int(self.owner.min()) < 0 or int(self.owner.max()) >= len(self.images):
            raise ShapeError(f"owners go from {int(self.owner.min())} to {int(self.owner.max())}, images to "
                             f"{len(self.images) - 1}")  # fmt: skip
        if not bool(self.images.isfinite().all() & self.captions.isfinite().all()):
            raise NumericsError("the features to cluster are not finite")

    def __len__(self) -> int:
        """R, how many items there are."""
        return len(self.captions)

    @cached_property
    def units(self) -> tuple[Tensor, Tensor]:
        """Both tables such that [image; caption] of every item has unit length."""
        from torch.nn import functional as F

        halves = [F.normalize(x, dim=1) for x in (self.images, self.captions)]
        share = sum(bool(x.shape[1]) for x in halves) ** -0.5
        return halves[0] * share, halves[1] * share

    def blocks(self, clusters: int) -> Iterator[tuple[slice, Tensor]]:
        """(images, their rows), every row once, as many as a block of cosines allows."""
        import torch

        order = self.owner.argsort(stable=True)
        size = max(1, BLOCK // clusters)
        owners = torch.arange(0, len(self.images) + 1, device=self.owner.device)
        begins = torch.searchsorted(self.owner[order], owners).tolist()  # the rows of image i: begins[i] up to i + 1
        start = 0
        while start < len(self.images):
            stop = start + 1
            while stop < len(self.images) and begins[stop + 1] - begins[start] <= size and stop - start < size:
                stop += 1
            yield slice(start, stop), order[begins[start] : begins[stop]]
            start = stop


@dataclass(frozen=True)
class Clusters:
    """What k-means found.

    Args:
        centres: (K, D1), (K, D2), the two halves of each.
        labels: (R,) int64, by item the cluster it is assigned to under these centres.
        rounds: how often the centres were moved.
    """

    centres: tuple[Tensor, Tensor]
    labels: Tensor
    rounds: int


def spherical_kmeans(
    features: Halves, clusters: int, draw: torch.Generator, *, most: int = 100, tolerance: float = 1e-4
) -> Clusters:
    """Lloyd's rounds from ``clusters`` distinct items that are drawn, by cosine; of equal ones the lower cluster.

    Args:
        draw: on the CPU.
        most: rounds at most.
        tolerance: stop where the squared moves of all centres add up to no more.

    Raises:
        DataError: fewer items than clusters, or no cluster.
    """
    import torch

    if not 1 <= clusters <= len(features):
        raise DataError(f"{clusters} clusters of {len(features)} items", hint="Ask for 1 up to as many as items.")
    first = torch.randperm(len(features), generator=draw)[:clusters].to(features.owner.device)
    images, captions = features.units
    centres = (images[features.owner[first]], captions[first])
    rounds, moved = 0, float("inf")
    while rounds < most and moved > tolerance:
        before = centres
        centres = _means(features, _assign(features, before)[0], clusters)
        moved = sum(float((a - b).double().square().sum()) for a, b in zip(centres, before, strict=True))
        rounds += 1
    return Clusters(centres, _assign(features, centres)[0], rounds)


def medoids(features: Halves, found: Clusters) -> Tensor:
    """By cluster the member most like its centre, by cosine: (K,) int64 items, all different.

    Of equal ones, up to rounding, the lower item: the two of a cluster of two are always equally like its mean. Empty
    clusters come last, in their order: each takes the item most like its centre that is not taken; as such a centre
    is zero, mostly the lowest one.
    """
    import torch

    count = len(found.centres[0])
    likeness = _assign(features, found.centres, found.labels)[1]
    chosen = torch.full((count,), -1, dtype=torch.int64)
    labels, values = found.labels.cpu(), likeness.cpu()
    for k in labels.unique().tolist():
        members = (labels == k).nonzero()[:, 0]
        chosen[k] = members[_first_best(values[members])]
    for k in (chosen < 0).nonzero()[:, 0].tolist():
        own = found.centres[0][k : k + 1], found.centres[1][k : k + 1]
        alike = _assign(features, own)[1].cpu()
        alike[chosen[chosen >= 0]] = -torch.inf
        chosen[k] = _first_best(alike)
    return chosen


def _first_best(values: Tensor) -> int:
    return int((values >= values.max() - TIE).int().argmax())


def _assign(features: Halves, centres: tuple[Tensor, Tensor], labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """By item its cluster, the most like one or the given one, and its cosine with that one's centre."""
    import torch

    images, captions = features.units
    length = sum(c.square().sum(1) for c in centres)
    assert isinstance(length, torch.Tensor)
    ways = [c / (length.sqrt() + LENGTH).unsqueeze(1) for c in centres]
    best = torch.empty(len(features), dtype=torch.int64, device=features.owner.device)
    value = torch.empty(len(features), dtype=images.dtype, device=images.device)
    for part, rows in features.blocks(len(length)):
        cosines = (images[part] @ ways[0].T)[features.owner[rows] - part.start] + captions[rows] @ ways[1].T
        best[rows] = cosines.argmax(1) if labels is None else labels[rows]
        value[rows] = cosines.gather(1, best[rows].unsqueeze(1))[:, 0]
    return best, value


def _means(features: Halves, labels: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """(K, D1), (K, D2); zero for an empty cluster. Products with counts: an image is read once, and sums do not depend
    on the order in which a device happens to add."""
    import torch
    from torch.nn import functional as F

    images, captions = features.units
    sums = [torch.zeros(clusters, x.shape[1], dtype=torch.float64, device=x.device) for x in (images, captions)]
    for part, rows in features.blocks(clusters):
        own = F.one_hot(labels[rows], clusters).to(captions.dtype)
        owner = features.owner[rows] - part.start
        counts = own.new_zeros(part.stop - part.start, clusters).index_add_(0, owner, own)
        sums[0] += counts.T @ images[part]
        sums[1] += own.T @ captions[rows]
    sizes = torch.bincount(labels, minlength=clusters).clamp(min=1).unsqueeze(1)
    return (sums[0] / sizes).to(images.dtype), (sums[1] / sizes).to(captions.dtype)
