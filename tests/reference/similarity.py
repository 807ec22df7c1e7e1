"""LoRS's similarity and losses, one pair of items after the other; slow on purpose."""

from __future__ import annotations

import math

from tests.reference.decoupling import dot, unit

EPS = 1e-6


def similarity(weight, left, right, alpha):
    n, rank = len(weight), len(left[0])
    low = [[alpha / rank * dot(left[i], right[j]) for j in range(n)] for i in range(n)]
    return [[low[i][j] + (weight[i] if i == j else 0.0) for j in range(n)] for i in range(n)]


def logits(a, b, tau):
    return [[dot(unit(x), unit(y)) / tau for y in b] for x in a]


def weighted_bce(a, b, s, tau):
    positives, negatives = [], []
    for row, likes in zip(logits(a, b, tau), s, strict=True):
        for value, like in zip(row, likes, strict=True):
            p = 1 / (1 + math.exp(-value))
            each = -like * math.log(p + EPS) - (1 - like) * math.log(1 - p + EPS)
            (positives if like > 0.5 else negatives).append(each)
    return (sum(positives) / (len(positives) + EPS) + sum(negatives) / (len(negatives) + EPS)) / 2


def soft_info_nce(a, b, s, tau):
    x, n = logits(a, b, tau), len(a)
    forth = back = 0.0
    for i in range(n):
        for j in range(n):
            forth -= s[i][j] * math.log(math.exp(x[i][j]) / sum(math.exp(v) for v in x[i]))
            back -= s[i][j] * math.log(math.exp(x[i][j]) / sum(math.exp(row[j]) for row in x))
    return (forth / n + back / n) / 2
