"""Two towers trained as a script would: modules, torch.optim.SGD, cross entropy; nothing is lifted or gathered."""

from __future__ import annotations

import math

import torch
from torch import nn

from limbeck.rng import stream

EPS = 1e-6


class LiteralHead(nn.Module):
    """The head of image-text distillation with weights of ours."""

    def __init__(self, weights):
        super().__init__()
        width, features = weights["1.weight"].shape
        self.one, self.two, self.norm = nn.Linear(features, width), nn.Linear(width, width), nn.LayerNorm(width)
        order = {"1.weight": self.one.weight, "1.bias": self.one.bias, "2.weight": self.two.weight}
        order |= {"2.bias": self.two.bias, "norm.scale": self.norm.weight, "norm.shift": self.norm.bias}
        with torch.no_grad():
            for name, parameter in order.items():
                parameter.copy_(weights[name])
        self.order = order

    def forward(self, x, kept):
        a = self.one(x)
        return self.norm(a + self.two(nn.functional.gelu(a)) * kept)


class LiteralConv(nn.Module):
    """A trained encoder without dropout."""

    def __init__(self, encoder, weights):
        super().__init__()
        self.encoder = encoder
        self.order = {name: nn.Parameter(w.detach().clone()) for name, w in weights.items()}

    def forward(self, x, _):
        return self.encoder.embed(self.order, x)


def literal_loss(a, b, recipe, similarity):
    """One item after the other."""
    a, b = nn.functional.normalize(a), nn.functional.normalize(b)
    logits = a @ b.T / recipe.temperature
    n = len(a)
    if recipe.loss == "info_nce":
        own = torch.arange(n)
        return (nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)) / 2
    kinds = {True: [], False: []}
    for i in range(n):
        for j in range(n):
            s, p = similarity[i, j], logits[i, j].double().sigmoid()
            kinds[bool(s > 0.5)].append(-s * (p + EPS).log() - (1 - s) * (1 - p + EPS).log())
    return sum(torch.stack(each).sum() / (len(each) + EPS) for each in kinds.values() if each) / 2


def literal_train(modules, lift, data, recipe, seed, similarity=None):
    """Weights by modality and name after the whole recipe; ``modules`` are trained in place, by modality.

    Args:
        lift: by modality what is done to items before a module sees them.
    """
    groups = [
        {"params": list(module.order.values()), "lr": recipe.rates if isinstance(recipe.rates, float) else None}
        for module in modules.values()
    ]
    for group, name in zip(groups, modules, strict=True):
        group["lr"] = group["lr"] or recipe.rates[name]
    optimiser = torch.optim.SGD(groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay, foreach=False)
    pairs, size = len(data), min(recipe.batch, len(data))
    for epoch in range(recipe.epochs):
        if epoch in recipe.drops:
            for group in optimiser.param_groups:
                group["lr"] *= 0.1
        generator = stream(seed, "pairs", "order", epoch)
        order = torch.randperm(pairs, generator=generator).tolist()
        for batch in range(math.ceil(pairs / size)):
            if recipe.batches == "subsets":
                chosen = order[:size]
                order = torch.randperm(pairs, generator=generator).tolist()
            else:
                chosen = order[batch * size : (batch + 1) * size]
            if recipe.drop_last and len(chosen) < size:
                break
            draw, embedded = stream(seed, "pairs", "dropout", epoch, batch), []
            for name, module in modules.items():
                items = torch.cat([lift[name](data.batch(torch.tensor([p]))[name]) for p in chosen])
                kept = torch.ones(())
                if isinstance(module, LiteralHead) and recipe.dropout:
                    kept = (torch.rand(len(items), len(module.two.bias), generator=draw) >= 0.1).float() / 0.9
                embedded.append(module(items, kept))
            rows = None
            if recipe.loss != "info_nce":
                rows = torch.eye(len(chosen)) if similarity is None else similarity[chosen][:, chosen]
            loss = literal_loss(*embedded, recipe, rows)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return {name: {k: w.detach() for k, w in module.order.items()} for name, module in modules.items()}
