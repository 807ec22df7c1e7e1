"""One step of trajectory matching of two towers as the papers go about it: plain modules, the frozen part inside every
inner step, the whole similarity matrix, all inner steps in one graph; slow on purpose."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from limbeck.rng import stream
from tests.reference.tesla import tesla


class Head(nn.Module):
    """The papers' text head in eval mode."""

    def __init__(self, features, width):
        super().__init__()
        self.first, self.second = nn.Linear(features, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        a = self.first(x)
        return self.norm(a + self.second(nn.functional.gelu(a)))


def embed(head, vector, x):
    named, at = {}, 0
    for name, parameter in head.named_parameters():
        named[name] = vector[at : at + parameter.numel()].view(parameter.shape)
        at += parameter.numel()
    assert at == len(vector)
    return functional_call(head, named, (x,))


def info_nce(a, b, scale):
    logits = scale * F.normalize(a) @ F.normalize(b).T
    own = torch.arange(len(a))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def weighted_bce(a, b, s, tau):
    p = torch.sigmoid(F.normalize(a) @ F.normalize(b).T / tau)
    each = -s * torch.log(p + 1e-6) - (1 - s) * torch.log(1 - p + 1e-6)
    kinds = [each[s > 0.5], each[s <= 0.5]]
    return sum(kind.sum() / (kind.numel() + 1e-6) for kind in kinds) / 2


def inner_loss(method, a, b, s):
    if method.name != "mtt_vl":
        return weighted_bce(a, b, s, method.temperature)
    return info_nce(a, b, math.log(1 / method.temperature) if method.legacy_logit_scale else 1 / method.temperature)


def batches(method, seed, step, pairs):
    size, order, found = min(method.inner_batch, pairs), [], []
    for i in range(method.inner_steps):
        if len(order) < size or method.name == "mtt_vl":
            order = torch.randperm(pairs, generator=stream(seed, "step", step, "batches", i)).tolist()
        found.append(order[:size])
        order = order[size:]
    return found


def denominators(method, start, target):
    ways = [((s - t) ** 2).sum() for s, t in zip(start, target, strict=True)]
    return [sum(ways)] * 2 if method.merged_normaliser else ways


def literal_gradient(objective, step, lift):
    """By what is learnt (both modalities' values, w, L, R; step sizes) the gradient of the outer loss through the graph
    of all inner steps, and the loss by tower.

    Args:
        objective: used for its values, experts and settings only.
        lift: images -> what the first head reads.
    """
    method, names = objective.method, list(objective.towers)
    start, target = (list(found.values()) for found in objective.drawn(step))
    heads = heads_of(objective)
    learnt = [x.detach().clone().requires_grad_() for x in inputs_of(objective)]
    rates = [objective.step_sizes[name].detach().clone().requires_grad_() for name in names]
    theta = [s.clone().requires_grad_() for s in start]
    for chosen in batches(method, objective.settings.seed, step, len(learnt[0])):
        s = torch.eye(len(learnt[0]), dtype=learnt[0].dtype)
        if method.name == "lors":
            w, left, right = learnt[2:]
            s = torch.diag(w) + method.alpha / method.rank * left @ right.T
        a = embed(heads[0], theta[0], lift(learnt[0])[chosen])
        b = embed(heads[1], theta[1], learnt[1][chosen])
        loss = inner_loss(method, a, b, s[chosen][:, chosen])
        g = torch.autograd.grad(loss, theta, create_graph=True)
        theta = [t - r * d for t, r, d in zip(theta, rates, g, strict=True)]
    below = denominators(method, start, target)
    terms = [((t - e) ** 2).sum() / d for t, e, d in zip(theta, target, below, strict=True)]
    found = torch.autograd.grad(sum(terms), [*learnt, *rates])
    return found[: len(learnt)], found[len(learnt) :], [t.item() for t in terms]


def literal_tesla(objective, step, lift):
    """The same of TESLA's printed passes, without the loss."""
    method, heads = objective.method, heads_of(objective)
    start, target = (list(found.values()) for found in objective.drawn(step))

    def inner(_, theta, items):
        s = torch.eye(len(items[0]), dtype=items[0].dtype)
        if method.name == "lors":
            s = torch.diag(items[2]) + method.alpha / method.rank * items[3] @ items[4].T
        return inner_loss(method, embed(heads[0], theta[0], lift(items[0])), embed(heads[1], theta[1], items[1]), s)

    inputs = [x.detach().clone() for x in inputs_of(objective)]
    rows = [torch.tensor(b) for b in batches(method, objective.settings.seed, step, len(inputs[0]))]
    below = denominators(method, start, target)
    return tesla(inner, start, target, list(objective.step_sizes.values()), inputs, rows, below)


def heads_of(objective):
    return [Head(t.trained.features, t.trained.width).double() for t in objective.towers.values()]


def inputs_of(objective):
    values = [objective.synthetic.values[name] for name in objective.towers]
    return values if objective._similarity is None else [*values, *objective._similarity.factors]
