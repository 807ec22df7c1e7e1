"""MDM's merge of two experts as printed, and Model Stock's of any number, one tensor as a list; slow on purpose."""

from __future__ import annotations

import math
from itertools import combinations


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a, b):
    return max(-1.0, min(1.0, dot(a, b) / (math.sqrt(dot(a, a)) * math.sqrt(dot(b, b)) + 1e-12)))


def merge_two(anchor, one, two, alpha):
    d1 = [x - a for x, a in zip(one, anchor, strict=True)]
    d2 = [x - a for x, a in zip(two, anchor, strict=True)]
    t = 2 * cosine(d1, d2) / (1 + cosine(d1, d2)) if 1 + cosine(d1, d2) > 1e-6 else 0.0
    return [a + alpha * t * ((x + y) / 2 - a) for a, x, y in zip(anchor, one, two, strict=True)]


def merge(anchor, experts, alpha, clamp=False):
    n = len(experts)
    ways = [[x - a for x, a in zip(e, anchor, strict=True)] for e in experts]
    pairs = [cosine(p, q) for p, q in combinations(ways, 2)]
    c = sum(pairs) / len(pairs)
    t = n * c / (1 + (n - 1) * c) if 1 + (n - 1) * c > 1e-6 else 0.0  # else the directions cancel: the anchor
    t = max(0.0, min(1.0, t)) if clamp else t
    return [a + alpha * t * (sum(e[i] for e in experts) / n - a) for i, a in enumerate(anchor)]
