"""One step of MTT as the paper's script goes about it: plain modules, the whole set decoded, all inner steps in one
graph; slow on purpose."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call

from limbeck.rng import stream
from tests.reference.avdd import decode
from tests.reference.convnet import LiteralConvNet


def literal_step(loop, step):
    """(values, step sizes) after one step from the loop's state, the first of a run: momenta are zero.

    Args:
        loop: an engine loop, used for its data, experts and settings only.
    """
    objective, method = loop.objective, loop.objective.method
    values, sizes = {}, {}
    for name, stored in loop.synthetic.values.items():
        pixels = stored.detach().clone().requires_grad_()
        alpha = objective.step_sizes[name].detach().clone().requires_grad_()
        loss = literal_loss(loop, step, name, pixels, alpha)
        of_pixels, of_alpha = torch.autograd.grad(loss, [pixels, alpha])
        values[name] = (pixels - loop.rates[name] * of_pixels).detach()
        sizes[name] = float(alpha.detach() * (-method.step_size_rate * of_alpha / alpha.detach()).exp())
    return values, sizes


def literal_loss(loop, step, name, pixels, alpha):
    objective, method, seed = loop.objective, loop.objective.method, loop.settings.seed
    modality, sound = loop.synthetic.modalities[name], loop.synthetic.modalities[name].kind == "audio"
    steps, batch = method.inner_steps[0 if sound else 1], method.inner_batch[0 if sound else 1]

    draw = stream(seed, "step", step, "expert", name)
    expert = int(torch.randint(method.experts, (), generator=draw))
    epoch = int(torch.randint(method.max_start_epoch, (), generator=draw))
    start = objective.bank.snapshot(name, expert, epoch)
    target = objective.bank.snapshot(name, expert, epoch + method.expert_epochs)

    module = student(objective.students[name].encoders[name], loop.synthetic.classes)
    theta, order = start.clone().requires_grad_(), []
    for i in range(steps):
        items = decode(pixels, loop.synthetic.factor)
        labels = loop.synthetic.labels.repeat(loop.synthetic.factor**2)
        if not order:
            generator = stream(seed, "step", step, "batches", name, i)
            order = torch.randperm(len(items), generator=generator).tolist()
        chosen, order = order[:batch], order[batch:]
        x = items[chosen]
        if modality.spatial:
            x = objective.augment(x, objective.augment.draw_items(stream(seed, "step", step, "dsa", name, i), len(x)))
        loss = nn.functional.cross_entropy(functional_call(module, parameters(module, theta), (x,)), labels[chosen])
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = theta - alpha.to(theta.dtype) * gradient
    return ((theta - target) ** 2).sum() / ((start - target) ** 2).sum()


def student(encoder, classes):
    """The published network and a linear head. Convolution biases stay as drawn: instance norm removes them."""
    net = LiteralConvNet(encoder.in_channels, encoder.blocks, encoder.channels, encoder.first_padding, encoder.grid)
    return nn.Sequential(net, nn.Linear(encoder.embedding, len(classes)))


def parameters(module, theta):
    """By name the parts of the vector: weights in the order of the layers, without the inert biases."""
    found, at = {}, 0
    norms = {f"{name}.bias" for name, layer in module.named_modules() if isinstance(layer, (nn.GroupNorm, nn.Linear))}
    for name, parameter in module.named_parameters():
        if name.endswith(".bias") and name not in norms:
            found[name] = parameter.detach()
            continue
        found[name] = theta[at : at + parameter.numel()].view(parameter.shape)
        at += parameter.numel()
    assert at == len(theta)
    return found
