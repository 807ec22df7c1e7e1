"""Class-wise retrieval: one modality asks, the other is ranked, an item of the same class is a hit (AVDD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ConfigError, DataError, ShapeError
from limbeck.evaluation.result import Result, Run
from limbeck.evaluation.trial import Trial
from limbeck.rng import stream
from limbeck.training import Rows, embed

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["Embedded", "class_chances", "embed_test", "evaluate_retrieval", "first_hits", "rank", "top_matches"]

PER_CLASS = 5
"""Test items a class."""
SUBSET_SEED = 0
"""Of the choice of those items: the same for every set, student and run [choice]."""
CUTS = (1, 5)
MEDIAN = "MedR"


def rank(queries: Tensor, gallery: Tensor) -> Tensor:
    """Gallery rows from the most to the least like each query by cosine: (N, D), (M, D) -> (N, M) positions.

    Of equally like rows the one that stands first in the gallery comes first. Raises ShapeError where widths differ.
    """
    if queries.dim() != 2 or gallery.dim() != 2 or queries.shape[1] != gallery.shape[1]:
        raise ShapeError(f"queries {tuple(queries.shape)} cannot be compared with a gallery {tuple(gallery.shape)}")
    likeness = F.normalize(queries.double(), dim=1) @ F.normalize(gallery.double(), dim=1).T
    return likeness.argsort(dim=1, descending=True, stable=True)


def top_matches(queries: Tensor, gallery: Tensor, k: int) -> Tensor:
    """The ``k`` gallery rows most like each query, best first: (N, k), fewer where the gallery is smaller."""
    return rank(queries, gallery)[:, :k]


def first_hits(order: Tensor, query_labels: Tensor, gallery_labels: Tensor) -> Tensor:
    """The place, counted from 1, of the first row of each query's class in ``order`` (N, M) -> (N,).

    Raises DataError where a query's class is not in the gallery.
    """
    hits = gallery_labels[order] == query_labels.unsqueeze(1)
    if not bool(hits.any(1).all()):
        raise DataError("a query's class has no item in the gallery")
    return hits.int().argmax(1) + 1


def class_chances(labels: Tensor) -> dict[str, float]:
    """R@1, R@5 and MedR of random orders of items with these ``labels``, exactly.

    With n of M items in the query's class, the first hit comes after place r with probability
    C(M - n, r) / C(M, r), averaged over queries. R@K is one minus that at K; MedR is the first place at which at least
    half of the queries have had their hit.
    """
    sizes = labels.bincount()[labels].double()  # of each query's class
    total = len(labels)
    missed = torch.ones_like(sizes)
    found = []
    for place in range(total):
        missed = missed * (total - sizes - place).clamp(min=0) / (total - place)
        found.append(1 - float(missed.mean()))
    half = next(place for place, share in enumerate(found, 1) if share >= 0.5 - 1e-12)
    return {f"R@{k}": 100 * found[min(k, total) - 1] for k in CUTS} | {MEDIAN: float(half)}


@dataclass(frozen=True)
class Embedded:
    """The test items of the protocol through a trained student.

    Args:
        rows: (N,) of the store.
        labels: (N,).
        features: by modality (N, D), of unit length, for :func:`top_matches`.
    """

    rows: np.ndarray[Any, Any]
    labels: Tensor
    features: dict[str, Tensor]


def evaluate_retrieval(synthetic: SyntheticSet | None, store: PairedStore, **settings: Any) -> Result:
    """Score ``synthetic``, or the whole training split of ``store`` where it is None, by retrieval in both directions.

    Metrics are "audio->image R@1", "audio->image R@5" (percent of queries with a hit among the first 1 or 5),
    "audio->image MedR" (median place of the first hit; less is better), and the same from image to audio.

    Args:
        settings: of :class:`~limbeck.evaluation.trial.Trial`, whose errors these are.

    Raises:
        ConfigError: not exactly two modalities.
        NumericsError: a student's loss is not finite.
    """
    trial, test = _prepare(synthetic, store, settings)
    runs: list[Run] = []
    for name, student, networks in trial.train():
        for seed, features in zip(trial.seeds, embed(student, networks, test), strict=True):
            runs.append(Run(name, seed, _scores(features, test.labels)))
    metrics = tuple(runs[0].scores)
    chances = class_chances(test.labels)
    counts = test.labels.bincount(minlength=len(store.classes)).tolist()
    return trial.result(
        runs,
        metrics,
        {metric: chances[metric.rpartition(" ")[2]] for metric in metrics},
        len(test),
        settings={
            "per_class": PER_CLASS,
            "subset_seed": SUBSET_SEED,
            "short_classes": {n: c for n, c in zip(store.classes, counts, strict=True) if c < PER_CLASS},
        },
        units={metric: "rank" for metric in metrics if metric.endswith(MEDIAN)},
    )


def embed_test(synthetic: SyntheticSet | None, store: PairedStore, **settings: Any) -> Embedded:
    """Train one student, the first of the ``settings``, and embed the test items: what a panel of matches shows."""
    single = {
        **settings,
        "seeds": settings.get("seeds", (0,))[:1],
        "students": settings.get("students", ("convnet",))[:1],
    }
    trial, test = _prepare(synthetic, store, single)
    ((_, student, networks),) = trial.train()
    (features,) = embed(student, networks, test)
    return Embedded(test.rows, test.labels, {name: F.normalize(x, dim=1) for name, x in features.items()})


def _prepare(synthetic: SyntheticSet | None, store: PairedStore, settings: Mapping[str, Any]) -> tuple[Trial, Rows]:
    trial = Trial(synthetic, store, **{"protocol": "retrieval-class", **settings})
    if len(trial.columns) != 2:
        raise ConfigError(
            f"{trial.protocol} is between two modalities; here are {', '.join(trial.columns)}",
            where="--modalities",
            hint="Name two.",
        )
    every = Rows.labelled(store, trial.split, trial.columns, trial.device)
    return trial, Rows(store, every.rows[_subset(every.labels).numpy()], trial.columns, trial.device)


def _subset(labels: Tensor) -> Tensor:
    """Positions of at most five items a class, in their order."""
    chosen = []
    for label in labels.unique().tolist():
        own = (labels == label).nonzero().flatten()
        drawn = torch.randperm(len(own), generator=stream(SUBSET_SEED, "retrieval", "subset", label))
        chosen.append(own[drawn[:PER_CLASS]])
    return torch.cat(chosen).sort().values


def _scores(features: Mapping[str, Tensor], labels: Tensor) -> dict[str, float]:
    """Both directions."""
    first, second = features
    scores = {}
    for query, gallery in ((first, second), (second, first)):
        places = first_hits(rank(features[query], features[gallery]), labels, labels)
        for k in CUTS:
            scores[f"{query}->{gallery} R@{k}"] = 100 * float((places <= k).double().mean())
        scores[f"{query}->{gallery} {MEDIAN}"] = float(np.median(places.numpy()))
    return scores
