"""Coresets of pairs over whole rows, one pair at a time; slow on purpose."""

from __future__ import annotations

import itertools
import math

from tests.reference.kmeans import dot, unit


def halves(images, captions, owner):
    """By pair its image's and its caption's embedding, each of unit length."""
    return [(unit(images[i]), unit(caption)) for i, caption in zip(owner, captions, strict=True)]


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def best(values, better):
    """The first of the best, up to rounding."""
    top = better(values.values())
    return min(i for i, value in values.items() if abs(value - top) < 1e-12)


def herding(images, captions, owner, count):
    rows = [[*v, *t] for v, t in halves(images, captions, owner)]
    mean, chosen = [sum(column) / len(rows) for column in zip(*rows, strict=True)], []
    while len(chosen) < count:
        total = [sum(rows[j][d] for j in chosen) for d in range(len(mean))]
        target = [(len(chosen) + 1) * m - s for m, s in zip(mean, total, strict=True)]
        chosen.append(best({i: distance(target, f) for i, f in enumerate(rows) if i not in chosen}, min))
    return chosen


def kcenter(images, captions, owner, count, first):
    rows = [[x + y for x, y in zip(v, t, strict=True)] for v, t in halves(images, captions, owner)]
    chosen = [first]
    while len(chosen) < count:
        far = {i: min(distance(rows[i], rows[j]) for j in chosen) for i in range(len(rows)) if i not in chosen}
        chosen.append(best(far, max))
    return chosen


def forgotten(history):
    """By pair how often it went from right to wrong, and as often as nothing can be where it never was right."""
    counts = []
    for column in zip(*history, strict=True):
        falls = sum(a and not b for a, b in itertools.pairwise(column))
        counts.append(falls if any(column) else len(column))
    return counts


def right(images, captions):
    """By pair of a batch whether no other image is nearer to its caption, and no other caption to its image."""
    a, b = [unit(x) for x in images], [unit(x) for x in captions]
    found = []
    for i in range(len(a)):
        own = dot(a[i], b[i])
        found.append(all(dot(x, b[i]) <= own for x in a) and all(dot(a[i], y) <= own for y in b))
    return found
