"""Class-wise retrieval and ArcFace the slow way: one query, one item, one angle at a time."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

from torch import Tensor


def arcface(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> list[list[float]]:
    """(N, C) -> logits through the angle itself."""
    found = []
    for row, label in zip(cosines.tolist(), labels.tolist(), strict=True):
        logits = [scale * cosine for cosine in row]
        logits[label] = scale * math.cos(math.acos(row[label]) + margin)
        found.append(logits)
    return found


def ranking(query: Tensor, gallery: Tensor) -> list[int]:
    """Rows of the gallery from the most to the least like the query; of equals, the first comes first."""

    def cosine(row: Tensor) -> float:
        dot = sum(a * b for a, b in zip(query.tolist(), row.tolist(), strict=True))
        return dot / (math.hypot(*query.tolist()) * math.hypot(*row.tolist()))

    likeness = [round(cosine(row), 12) for row in gallery]
    return sorted(range(len(gallery)), key=lambda i: (-likeness[i], i))


def scores(queries: Tensor, gallery: Tensor, labels: Sequence[int]) -> dict[str, float]:
    places = []
    for query, label in zip(queries, labels, strict=True):
        order = ranking(query, gallery)
        places.append(next(place for place, i in enumerate(order, 1) if labels[i] == label))
    found = {f"R@{k}": 100 * sum(place <= k for place in places) / len(places) for k in (1, 5)}
    return found | {"MedR": float(statistics.median(places))}


def simulated_chances(labels: Sequence[int], trials: int, seed: int) -> dict[str, float]:
    """Random orders, many times."""
    draw = random.Random(seed)
    places = []
    for _ in range(trials):
        order = list(range(len(labels)))
        draw.shuffle(order)
        places += [next(place for place, i in enumerate(order, 1) if labels[i] == label) for label in labels]
    found = {f"R@{k}": 100 * sum(place <= k for place in places) / len(places) for k in (1, 5)}
    return found | {"MedR": float(statistics.median(places))}
