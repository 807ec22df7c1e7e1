"""ImageBindDC's cross-modal and joint-modal terms of ONE class and two modalities, row after row; slow on purpose.

a, v are real rows, s, w the synthetic ones of the same two modalities; g is a discrepancy of two lists of rows.
"""

from __future__ import annotations

import math


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a):
    return [x / math.sqrt(dot(a, a)) for x in a]


def cos(a, b):
    return dot(unit(a), unit(b))


def mean(rows):
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def times(a, b):
    return [x * y for x, y in zip(a, b, strict=True)]


def plus(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def products(a, v):
    return [times(unit(p), unit(q)) for p, q in zip(a, v, strict=True)]


def cross(reading, a, v, s, w, g=None, pairs=None):
    if reading == "hybrid_means":
        return g([plus(p, q) for p, q in zip(a, v, strict=True)], [plus(p, q) for p, q in zip(s, w, strict=True)])
    if reading == "distribution":
        return g([plus(a[i], w[j]) for i, j in pairs], [plus(v[i], s[j]) for i, j in pairs])
    real, synthetic = products(a, v), products(s, w)
    if reading == "paper":
        return 1 - cos(mean(real), mean(synthetic))
    compare = dot if reading == "as_released" else cos
    found = [1 - compare(h, k) for h in real for k in synthetic]
    return sum(found) / len(found)


def joint(reading, a, v, s, w, g=None):
    if reading == "distribution":
        return g([p + q for p, q in zip(a, v, strict=True)], [p + q for p, q in zip(s, w, strict=True)])
    if reading == "paper":
        a, v, s, w = ([unit(row) for row in rows] for rows in (a, v, s, w))
    a, v, s, w = (mean(rows) for rows in (a, v, s, w))
    if reading == "paper":
        return 1 - cos(times(a, w), times(v, s))
    if reading == "as_released":
        return 1 - dot(times(a, w), times(v, s))
    return g([plus(a, w)], [plus(v, s)])
