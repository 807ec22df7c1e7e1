"""DAVDD's decoupling losses, one anchor, pair and class after the other, as the paper prints them; slow on purpose."""

from __future__ import annotations

import math

import torch
from torch import nn

from limbeck.losses.prototypes import Prototypes


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a):
    return [x / math.sqrt(dot(a, a)) for x in a]


def supervised_contrast(u, labels, tau, reduction):
    anchors = []
    for i in range(len(u)):
        positives = [w for w in range(len(u)) if w != i and labels[w] == labels[i]]
        if not positives:
            continue
        below = sum(math.exp(dot(u[i], u[k]) / tau) for k in range(len(u)) if k != i)
        shares = [math.exp(dot(u[i], u[w]) / tau) / below for w in positives]
        anchors.append(-1 / len(positives) * sum(math.log(s) for s in shares))
    if not anchors:
        return 0.0
    return sum(anchors) if reduction == "sum" else sum(anchors) / len(anchors)


def info_nce(a, b, tau):
    a, b = [unit(x) for x in a], [unit(x) for x in b]
    forth = back = 0.0
    for i in range(len(a)):
        forth -= math.log(math.exp(dot(a[i], b[i]) / tau) / sum(math.exp(dot(a[i], y) / tau) for y in b))
        back -= math.log(math.exp(dot(a[i], b[i]) / tau) / sum(math.exp(dot(x, b[i]) / tau) for x in a))
    return (forth / len(a) + back / len(a)) / 2


def class_mean(z, labels, c):
    """At unit length; None where the class has no item."""
    items = [x for x, y in zip(z, labels, strict=True) if y == c]
    return unit([sum(column) / len(items) for column in zip(*items, strict=True)]) if items else None


def align(z, labels, prototypes):
    """``prototypes``: by modality, by class, a vector or None."""
    first, second = z
    found = []
    for c in sorted(set(labels)):
        if prototypes[first][c] is not None:
            there = 1 - dot(class_mean(z[first], labels, c), prototypes[second][c])
            found.append(there + 1 - dot(class_mean(z[second], labels, c), prototypes[first][c]))
    return sum(found) / len(found) if found else 0.0


def update(prototypes, counts, z, labels, ema=None):
    """In place: prototypes by modality and class, counts by class."""
    for c in sorted(set(labels)):
        seen = labels.count(c)
        m = counts[c] / (counts[c] + seen)
        if ema is not None:
            m = ema if counts[c] else 0.0
        for name, items in z.items():
            mu, before = class_mean(items, labels, c), prototypes[name][c]
            before = before or [0.0] * len(mu)
            prototypes[name][c] = unit([m * p + (1 - m) * x for p, x in zip(before, mu, strict=True)])
        counts[c] += seen


def cross_entropy(logits, labels):
    each = [-math.log(math.exp(row[y]) / sum(math.exp(v) for v in row)) for row, y in zip(logits, labels, strict=True)]
    return sum(each) / len(each)


def decoupling(z, logits, fused, labels, prototypes, tau, reduction):
    """L_de in one number, lambda_com = lambda_fu = 2."""
    (a, b), (la, lb) = z.values(), logits.values()
    u = [unit([x + y for x, y in zip(p, q, strict=True)]) for p, q in zip(a, b, strict=True)]
    classes = 2 * (cross_entropy(la, labels) + cross_entropy(lb, labels)) + 2 * cross_entropy(fused, labels)
    contrast = supervised_contrast(u, labels, tau, reduction)
    return classes + contrast + 3 * info_nce(a, b, tau) + align(z, labels, prototypes)


def train_decoupler(start, features, labels, orders, batch, rate, classes, losses):
    """One decoupler, with modules: maps by modality, three heads, Adam, prototypes after each step.

    Args:
        start: the weights it begins with, as the library names them.
        features: by modality (N, D). orders: an order of all items for each epoch.

    Returns:
        the maps by modality, and the prototypes at the end.
    """

    def layer(name):
        weight, bias = start[f"{name}weight"], start[f"{name}bias"]
        made = nn.Linear(weight.shape[1], weight.shape[0])
        made.load_state_dict({"weight": weight, "bias": bias})
        return made

    maps = nn.ModuleDict({m: nn.Sequential(layer(f"{m}/first."), nn.ReLU(), layer(f"{m}/second.")) for m in features})
    heads = nn.ModuleDict({m: layer(f"head:{m}/") for m in features})
    fuse = layer("head:/")
    adam = torch.optim.Adam([*maps.parameters(), *heads.parameters(), *fuse.parameters()], lr=rate)
    prototypes = None
    for order in orders:
        for rows in order.split(batch):
            z = {m: maps[m](x[rows].float()) for m, x in features.items()}
            prototypes = prototypes or Prototypes.none(z, classes)
            logits, y = {m: heads[m](x) for m, x in z.items()}, labels[rows]
            loss = sum(losses(z, logits, fuse(torch.cat(list(z.values()), 1)), y, prototypes).values())
            adam.zero_grad()
            loss.backward()
            adam.step()
            prototypes = prototypes.updated(z, y)
    return maps, prototypes
