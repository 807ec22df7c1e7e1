"""DAVDD's distillation class by class, in the words of the paper; slow on purpose."""

from __future__ import annotations

import torch

from limbeck.rng import stream
from tests.reference.avdd import decode


def common(weights, z):
    """A two-layer decoupler by hand."""
    hidden = torch.relu(z @ weights["first.weight"].T + weights["first.bias"])
    return hidden @ weights["second.weight"].T + weights["second.bias"]


def literal_run(loop, steps, *, private, shared, joint):
    """Values after ``steps`` steps.

    Args:
        loop: an engine loop, used for its data, bank, draws and settings only.
        private, shared, joint: weights of the three parts of the loss.
    """
    seen = loop.objective
    eyes, settings, store = seen.eyes, loop.settings, seen.store
    values = {name: v.detach().clone().requires_grad_() for name, v in loop.synthetic.values.items()}
    momenta = {name: torch.zeros_like(v) for name, v in values.items()}
    n = seen.per_class
    for step in range(steps):
        draw = stream(settings.seed, "step", step, "bank")
        member = int(torch.randint(eyes.bank.members, (), generator=draw))
        which = int(torch.randint(eyes.decouplers.per_member, (), generator=draw))
        kind = int(torch.randint(settings.draws, (), generator=draw))
        encoders, maps = eyes.bank.weights(member, "cpu"), eyes.decouplers.weights(member, which, "cpu")
        total = 0.0
        for c in range(seen.classes):
            rows = torch.tensor(store.rows("train", c))
            if settings.real_statistics == "batch":
                order = torch.randperm(len(rows), generator=stream(settings.seed, "step", step, "real", c))
                rows = rows[order[: settings.real_batch]]
                omega = eyes.augment.draw(stream(settings.seed, "step", step, "dsa", c))
            else:
                omega = eyes.augment.draw(stream(0, "bank", member, kind, "dsa", c))
            gaps, common_gaps = {}, {}
            for m, encoder in seen.encoders.items():
                real = encoder.embed(encoders[m], eyes.augment(store.batch(m, rows), omega)).detach()
                items = decode(values[m][c * n : (c + 1) * n], loop.synthetic.factor)
                fake = encoder.embed(encoders[m], eyes.augment(items, omega))
                gaps[m] = real.mean(0) - fake.mean(0)
                common_gaps[m] = common(maps[m], real).mean(0) - common(maps[m], fake).mean(0)
            a, v = common_gaps["audio"], common_gaps["image"]
            total = total + private * sum((d**2).sum() for d in gaps.values())
            total = total + shared * ((a**2).sum() + (v**2).sum()) + joint * ((a + v) ** 2).sum()
        gradients = torch.autograd.grad(total, list(values.values()))
        for (name, value), gradient in zip(values.items(), gradients, strict=True):
            momenta[name] = settings.momentum * momenta[name] + gradient
            value.data -= loop.rates[name] * momenta[name]
    return {name: v.detach() for name, v in values.items()}
