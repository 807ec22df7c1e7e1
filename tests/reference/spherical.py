"""MDM's agreement, discrepancy and kernel distance, one pair of points after the other; slow on purpose."""

from __future__ import annotations

import math


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a):
    return [x / math.sqrt(dot(a, a)) for x in a]


def agreement(a, b):
    return [unit([x + y for x, y in zip(p, q, strict=True)]) for p, q in zip(a, b, strict=True)]


def discrepancy(a, b):
    return [unit([x - y for x, y in zip(p, q, strict=True)]) for p, q in zip(a, b, strict=True)]


def k(a, b, kernel, sigma):
    if kernel == "geodesic":
        return math.exp(-(math.acos(max(-1.0, min(1.0, dot(a, b)))) ** 2) / (2 * sigma**2))
    if kernel == "cosine":
        return math.exp(-((1 - dot(a, b)) ** 2) / (2 * sigma**2))
    if kernel == "chordal":
        return math.exp(-sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / (2 * sigma**2))
    return math.exp(-sum(abs(x - y) for x, y in zip(a, b, strict=True)) / sigma)


def square(a, b, kernel, sigma, biased):
    def within(x):
        found = [k(p, q, kernel, sigma) for i, p in enumerate(x) for j, q in enumerate(x) if biased or i != j]
        return sum(found) / len(found)

    between = [k(p, q, kernel, sigma) for p in a for q in b]
    return within(a) + within(b) - 2 * sum(between) / len(between)
