"""Pairs of a real set, an item and one of the values that belong to it, by any of the selections that know them.

A picture with five captions is five pairs: no pair is chosen twice, a picture may be. What two warmed-up towers make of
a pair are two halves of unit length, which are kept apart: a picture is looked at once, not once a caption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from limbeck.errors import ConfigError, nearest
from limbeck.rng import numpy_stream, stream
from limbeck.selection.evidence import Array, Model, PairEvidence
from limbeck.selection.forgetting import NeverLearnt, Order, forgetting_ranking

if TYPE_CHECKING:
    from limbeck.selection.kmeans import Halves

__all__ = [
    "Cluster", "Pairwise", "forgetting_pairs", "herding_pairs", "kcenter_pairs", "kmeans_pairs", "random_pairs"
]  # fmt: skip

Cluster = Literal["joint", "first", "second"]
"""What clusters go by: both halves of a pair, or one."""


@dataclass(frozen=True)
class Pairwise:
    """What pairs are chosen from.

    Args:
        pairs: R, how many there are.
        seed: of every draw.
    """

    pairs: int
    seed: int
    evidence: PairEvidence


def random_pairs(group: Pairwise, count: int) -> Array:
    """Drawn without replacement."""
    drawn: Array = numpy_stream(group.seed, "select", 0).permutation(group.pairs)[:count]
    return drawn


def herding_pairs(group: Pairwise, count: int) -> Array:
    """Herding of :math:`[z^v; z^t]` [MDM, S3.5.2]."""
    from limbeck.selection.herding import herding
    from limbeck.selection.pair_points import PairPoints

    return herding(PairPoints(group.evidence.features("warm-up"), "joined"), count).numpy()


def kcenter_pairs(group: Pairwise, count: int) -> Array:
    """K-center of :math:`z^v + z^t` from a pair that is drawn [MDM, S3.5.2]."""
    from limbeck.selection.kcenter import kcenter
    from limbeck.selection.pair_points import PairPoints

    first = int(numpy_stream(group.seed, "select", "kcenter").integers(group.pairs))
    return kcenter(PairPoints(group.evidence.features("warm-up"), "added"), count, first).numpy()


def forgetting_pairs(
    group: Pairwise, count: int, *, order: Order = "most", never_learnt: NeverLearnt = "most"
) -> Array:
    """Forgetting, a pair being right where each of its two is the other's nearest in the batch [MDM, S3.5.2]."""
    draws = numpy_stream(group.seed, "select", "forgetting", 0)
    ranking = forgetting_ranking(group.evidence.history, draws, order=order, never_learnt=never_learnt)
    return ranking[:count]


def kmeans_pairs(group: Pairwise, count: int, *, model: Model = "warm-up", cluster: Cluster = "joint") -> Array:
    """The medoids of as many clusters by cosine [MDM, eq. 4]. Raises ConfigError on an unknown model or cluster."""
    from limbeck.selection.kmeans import medoids, spherical_kmeans

    for name, word, known in (("model", model, get_args(Model)), ("cluster", cluster, get_args(Cluster))):
        if word not in known:
            raise ConfigError(f"unknown {name} {word!r}", where=f"method.{name}", hint=nearest(str(word), known))
    features = _part(group.evidence.features(model), cluster)
    found = spherical_kmeans(features, count, stream(group.seed, "select", "kmeans"))
    return medoids(features, found).numpy()


def _part(features: Halves, cluster: Cluster) -> Halves:
    """What clusters go by: a half that is of no width has no say."""
    from limbeck.selection.kmeans import Halves

    if cluster == "first":
        return Halves(features.images, features.captions[:, :0], features.owner)
    if cluster == "second":
        return Halves(features.images[:, :0], features.captions, features.owner)
    return features
