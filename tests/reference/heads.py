"""Linear heads on what stands still, trained as a script would: torch.nn.Linear, torch.optim.Adam, cross entropy."""

from __future__ import annotations

import math

import torch
from torch import nn

from limbeck.augment import DSA
from limbeck.rng import stream


def literal_heads(embed, items, labels, start, recipe, seed, *, augmented=()):
    """By modality an ``nn.Linear`` after the whole recipe.

    Args:
        embed: by modality what stands still, one batch -> its vectors.
        items: by modality all items.
        start: by modality weight and bias to begin with.
        augmented: modalities whose items are changed each time they are seen.
    """
    heads = {name: _linear(*start[name]) for name in items}
    adam = torch.optim.Adam([p for head in heads.values() for p in head.parameters()], lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(adam, list(recipe.drops), gamma=0.1)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(labels), generator=stream(seed, "student", "order", epoch)).tolist()
        for step in range(math.ceil(len(order) / recipe.batch)):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            loss = torch.zeros(())
            for name, head in heads.items():
                x = items[name][chosen]
                if name in augmented:
                    dsa, draw = DSA(), stream(seed, "student", "augment", name, epoch, step)
                    x = dsa(x, dsa.draw_items(draw, len(x)))
                loss = loss + nn.functional.cross_entropy(head(embed[name](x).detach()), labels[chosen])
            adam.zero_grad()
            loss.backward()
            adam.step()
        schedule.step()
    return heads


def literal_contrast(start, own, real, recipe, seed):
    """By modality an ``nn.Linear`` trained on pairs by Adam and InfoNCE.

    Args:
        start: by modality weight and bias.
        own: by modality the vectors of all pairs, in their order.
        real: the same of a second set, of which each batch has as many; or None.
    """
    heads = {name: _linear(*start[name]) for name in own}
    adam = torch.optim.Adam([p for head in heads.values() for p in head.parameters()], lr=1e-3, weight_decay=1e-4)
    pairs = len(next(iter(own.values())))
    size = 8 if real is not None else 16
    for epoch in range(recipe.epochs):
        order = torch.randperm(pairs, generator=stream(seed, "pairs", "order", epoch)).tolist()
        for batch in range(math.ceil(pairs / size)):
            chosen = order[batch * size : (batch + 1) * size]
            seen = {name: list(own[name][chosen]) for name in own}
            if real is not None:
                count = len(next(iter(real.values())))
                drawn = torch.randperm(count, generator=stream(seed, "pairs", "replay", epoch, batch))[: len(chosen)]
                for name, rows in seen.items():
                    rows += [real[name][k] for k in drawn.tolist()]
            a, b = (nn.functional.normalize(heads[name](torch.stack(rows))) for name, rows in seen.items())
            logits, target = a @ b.T / 0.07, torch.arange(len(a))
            loss = (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)) / 2
            adam.zero_grad()
            loss.backward()
            adam.step()
    return heads


def _linear(weight, bias):
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head
