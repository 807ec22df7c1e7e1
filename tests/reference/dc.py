"""DC and DSA as the published script goes about them: torch modules, one graph of all classes, one backward pass, and
torch.optim.SGD for pixels and networks; slow on purpose."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.rng import key, stream
from tests.reference.avdd import decode
from tests.reference.convnet import LiteralConvNet


def literal_run(loop, steps: int) -> dict[str, Tensor]:
    """Values after ``steps`` steps.

    Args:
        loop: an engine loop, used for its data, settings, draws and first weights only.
    """
    synthetic, store, settings, method = loop.synthetic, loop.objective.store, loop.settings, loop.objective.method
    values = {m: v.detach().clone().requires_grad_() for m, v in synthetic.values.items()}
    classes = len(synthetic.classes)
    n = len(synthetic) // classes
    pixels = torch.optim.SGD(list(values.values()), lr=settings.lr, momentum=settings.momentum)
    for step in range(steps):
        if step % method.outer == 0:
            networks = {m: module(loop, m, w) for m, w in loop.objective.bank.fresh(step, torch.device("cpu")).items()}
            trainers = {m: torch.optim.SGD(net.parameters(), lr=method.inner_rate) for m, net in networks.items()}
        total = torch.tensor(0.0)
        for c in range(classes):
            rows = torch.tensor(store.rows("train", c))
            order = torch.randperm(len(rows), generator=stream(settings.seed, "step", step, "real", c))
            for m, network in networks.items():
                real = store.batch(m, rows[order[: settings.real_batch]])
                fake = decode(values[m][c * n : (c + 1) * n], synthetic.factor)
                if settings.augment:
                    augment = loop.objective.augment
                    draw = augment.draw(stream(settings.seed, "step", step, "dsa", c))
                    real, fake = augment(real, draw), augment(fake, draw)
                parameters = list(network.parameters())
                ours = torch.autograd.grad(cross_entropy(network, real, c), parameters)
                theirs = torch.autograd.grad(cross_entropy(network, fake, c), parameters, create_graph=True)
                total = total + sum(distance(a, b) for a, b in zip(ours, theirs, strict=True))
        pixels.zero_grad()
        total.backward()
        pixels.step()
        if step % method.outer == method.outer - 1:
            continue
        for m, network in networks.items():
            train(loop, m, network, trainers[m], decode(values[m].detach(), synthetic.factor), step)
    return {m: v.detach() for m, v in values.items()}


def cross_entropy(network: nn.Module, items: Tensor, c: int) -> Tensor:
    return F.cross_entropy(network(items), torch.full((len(items),), c))


def distance(real: Tensor, fake: Tensor) -> Tensor:
    if real.dim() == 1:
        return torch.tensor(0.0)
    total = torch.tensor(0.0)
    for r, s in zip(real.flatten(1), fake.flatten(1), strict=True):
        total = total + 1 - (r * s).sum() / (torch.norm(r) * torch.norm(s) + 0.000001)
    return total


def train(loop, m: str, network: nn.Module, sgd: torch.optim.Optimizer, items: Tensor, step: int) -> None:
    """The epochs between step and step + 1, which the latter's draws order and augment."""
    synthetic, settings, method = loop.synthetic, loop.settings, loop.objective.method
    labels = synthetic.labels.repeat(synthetic.factor**2)
    seed = key(settings.seed, "step", step + 1, "inner")
    for epoch in range(method.inner):
        order = torch.randperm(len(items), generator=stream(seed, "student", "order", epoch))
        for number, chosen in enumerate(order.split(method.inner_batch)):
            batch = items[chosen]
            if settings.augment:
                generator = stream(seed, "student", "augment", m, epoch, number)
                batch = loop.objective.augment(batch, loop.objective.augment.draw_items(generator, len(batch)))
            sgd.zero_grad()
            F.cross_entropy(network(batch), labels[chosen]).backward()
            sgd.step()


def module(loop, m: str, weights: dict[str, Tensor]) -> nn.Module:
    """A published ConvNet and a linear layer, with these weights."""
    encoder = loop.objective.bank.encoders[m]
    net = LiteralConvNet(encoder.in_channels, encoder.blocks, encoder.channels, encoder.first_padding, encoder.grid)
    net.load({name.removeprefix(f"{m}/"): w for name, w in weights.items()})
    head = nn.Linear(encoder.embedding, len(loop.synthetic.classes))
    with torch.no_grad():
        for layer in net.layers:
            if isinstance(layer, nn.Conv2d):
                layer.bias.zero_()  # inert; other values would only round differently
        head.weight.copy_(weights[f"{m}/head.weight"])
        head.bias.copy_(weights[f"{m}/head.bias"])
    return nn.Sequential(net, head)
