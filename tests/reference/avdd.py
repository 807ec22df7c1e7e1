"""AVDD's distillation, class by class and item tensors whole, as the paper's script goes about it; slow on purpose."""

from __future__ import annotations

import torch

from limbeck.rng import stream


def literal_run(loop, steps, *, base, icm, cgm, per_class_stepping=False):
    """Values after ``steps`` steps of plain SGD with momentum, without groups, caches or leaves of their own.

    Args:
        loop: an engine loop, used for its data, encoders, draws and settings only.
    """
    seen = loop.objective
    synthetic, store, settings, augment = loop.synthetic, seen.store, loop.settings, seen.eyes.augment
    values = {name: v.detach().clone().requires_grad_() for name, v in synthetic.values.items()}
    momenta = {name: torch.zeros_like(v) for name, v in values.items()}
    n = seen.per_class

    def update(loss):
        gradients = torch.autograd.grad(loss, list(values.values()))
        for (name, value), gradient in zip(values.items(), gradients, strict=True):
            momenta[name] = settings.momentum * momenta[name] + gradient
            value.data -= loop.rates[name] * momenta[name]

    for step in range(steps):
        weights = {m: e.init(stream(settings.seed, "step", step, "network", m)) for m, e in seen.encoders.items()}
        total = 0.0
        for c in range(seen.classes):
            shared = () if settings.dsa_sharing == "step" else (c,)
            draw = augment.draw(stream(settings.seed, "step", step, "dsa", *shared))
            rows = torch.tensor(store.rows("train", c))
            order = torch.randperm(len(rows), generator=stream(settings.seed, "step", step, "real", c))
            real, fake = {}, {}
            for m, encoder in seen.encoders.items():
                batch = store.batch(m, rows[order[: settings.real_batch]])
                real[m] = encoder.embed(weights[m], augment(batch, draw)).mean(0).detach()
                stored = values[m][c * n : (c + 1) * n]
                fake[m] = encoder.embed(weights[m], augment(decode(stored, synthetic.factor), draw)).mean(0)
            ra, rv, sa, sv = real["audio"], real["image"], fake["audio"], fake["image"]
            loss = base * (((ra - sa) ** 2).sum() + ((rv - sv) ** 2).sum())
            loss = loss + icm * (((ra + rv) - (sa + sv)) ** 2).sum() + cgm * (((ra + sv) - (rv + sa)) ** 2).sum()
            if per_class_stepping:
                update(loss)
            else:
                total = total + loss
        if not per_class_stepping:
            update(total)
    return {name: v.detach() for name, v in values.items()}


def decode(x, factor):
    """Cut the quadrants (top-left, bottom-left, top-right, bottom-right) and double them."""
    if factor == 1:
        return x
    h, w = x.shape[2] // 2, x.shape[3] // 2
    parts = [x[:, :, :h, :w], x[:, :, h:, :w], x[:, :, :h, w:], x[:, :, h:, w:]]
    size = tuple(x.shape[2:])
    double = [torch.nn.functional.interpolate(p, size=size, mode="bilinear", align_corners=False) for p in parts]
    return torch.cat(double)
