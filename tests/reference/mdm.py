"""A step of MDM as a script takes it: modules built anew, experts read from files, the real batch encoded, autograd.

Of a tower that is a ConvNet and a text head. Slow on purpose.
"""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from tests.reference.convnet import LiteralConvNet
from tests.reference.pairs import LiteralHead


def build(encoder, weights):
    if not hasattr(encoder, "blocks"):
        return LiteralHead(weights)
    net = LiteralConvNet(encoder.in_channels, encoder.blocks, encoder.channels, encoder.first_padding, encoder.grid)
    return net.load(weights)


def merged(anchor, one, two, alpha):
    """Tensor by tensor: t = 2c / (1 + c)."""
    found = {}
    for name, start in anchor.items():
        a, b = (one[name] - start).flatten().double(), (two[name] - start).flatten().double()
        c = (a @ b / (a.norm() * b.norm() + 1e-12)).clamp(-1, 1)
        t = 2 * c / (1 + c) if 1 + c > 1e-6 else torch.zeros(())
        found[name] = start + alpha * t.float() * ((one[name] + two[name]) / 2 - start)
    return found


def networks(towers, files, anchors, alpha):
    """By modality a module, merged from the two experts in ``files``, safetensors of "modality.tensor"."""
    one, two = (load_file(file) for file in files)
    built = {}
    for name, tower in towers.items():
        own = [{k.removeprefix(f"{name}."): w for k, w in e.items() if k.startswith(f"{name}.")} for e in (one, two)]
        built[name] = build(tower.trained, merged(anchors[name], *own, alpha)).eval().requires_grad_(False)
    return built


def embedded(modules, batch):
    return [
        F.normalize(module(batch[name], torch.ones(())) if isinstance(module, LiteralHead) else module(batch[name]))
        for name, module in modules.items()
    ]


def kernel_distance(a, b, sigma):
    def k(x, y):
        angle = torch.arccos((x.double() @ y.double().T).clamp(-1 + 1e-15, 1 - 1e-15))
        return torch.exp(-(angle**2) / (2 * sigma**2)).mean()

    return (k(a, a) + k(b, b) - 2 * k(a, b)).sqrt()


def loss(real, fake, *, contrast=1.0, agreement=0.8, discrepancy=0.8, sigma=0.5, tau=0.07):
    logits, own = fake[0] @ fake[1].T / tau, torch.arange(len(fake[0]))
    terms = {"contrast": contrast * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2}
    for name, sign, weight in (("agreement", 1, agreement), ("discrepancy", -1, discrepancy)):
        clouds = [F.normalize(a + sign * b) for a, b in (real, fake)]
        terms[name] = weight * kernel_distance(*clouds, sigma)
    return terms


def literal_step(towers, files, anchors, real, values, rows, alpha=0.5):
    """Loss terms, and by modality the gradient of their sum by all values.

    Args:
        anchors: by modality what the experts moved away from.
        real: by modality the real batch. values: of the set; its pairs ``rows`` are looked at.
    """
    modules = networks(towers, files, anchors, alpha)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in values.items()}
    with torch.no_grad():
        seen = embedded(modules, real)
    terms = loss(seen, embedded(modules, {name: leaves[name][rows] for name in towers}))
    found = torch.autograd.grad(sum(terms.values()), [leaves[name] for name in towers])
    return terms, dict(zip(towers, found, strict=True))
