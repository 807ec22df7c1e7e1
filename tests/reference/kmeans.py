"""Cosine k-means and its medoids over whole rows, one item and one centre at a time; slow on purpose."""

from __future__ import annotations

import math


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a):
    return [x / math.sqrt(dot(a, a)) for x in a]


def rows(images, captions, owner):
    return [unit([*unit(images[i]), *unit(caption)]) for i, caption in zip(owner, captions, strict=True)]


def cosine(f, c):
    return dot(f, c) / (math.sqrt(dot(c, c)) + 1e-8)


def assign(items, centres):
    return [max(range(len(centres)), key=lambda k: (cosine(f, centres[k]), -k)) for f in items]


def kmeans(items, first, most=100, tolerance=1e-4):
    centres = [items[i] for i in first]
    for _ in range(most):
        labels, before = assign(items, centres), centres
        centres = []
        for k in range(len(first)):
            members = [f for f, label in zip(items, labels, strict=True) if label == k]
            columns = zip(*members, strict=True) if members else [[0.0]] * len(items[0])
            centres.append([sum(column) / max(1, len(members)) for column in columns])
        ways = [[x - y for x, y in zip(a, b, strict=True)] for a, b in zip(centres, before, strict=True)]
        if sum(dot(w, w) for w in ways) <= tolerance:
            break
    return centres, assign(items, centres)


def first_best(values):
    return min(i for i, value in values.items() if value >= max(values.values()) - 1e-6)


def medoids(items, centres, labels):
    chosen = {}
    for k in sorted(set(labels)):
        members = [i for i in range(len(items)) if labels[i] == k]
        chosen[k] = first_best({i: cosine(items[i], centres[k]) for i in members})
    for k in range(len(centres)):
        if k not in chosen:
            open_items = [i for i in range(len(items)) if i not in chosen.values()]
            chosen[k] = first_best({i: cosine(items[i], centres[k]) for i in open_items})
    return [chosen[k] for k in range(len(centres))]
