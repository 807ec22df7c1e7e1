"""TESLA's gradient of matching trajectories in its two printed passes, one tower after the other; slow on purpose."""

from __future__ import annotations

import torch


def tesla(inner, start, target, rates, inputs, rows, denominators):
    """Gradients of the inputs and of the step sizes.

    Args:
        inner: (step, parameter vectors, the step's rows of each input) -> scalar.
        denominators: what each tower's part of the inputs' gradient is divided by; the step sizes' goes by the
            tower's own way.
    """
    states = [[s.clone() for s in start]]
    total = [torch.zeros_like(s) for s in start]
    for i, chosen in enumerate(rows):
        theta = [s.clone().requires_grad_() for s in states[-1]]
        g = torch.autograd.grad(inner(i, theta, [x[chosen] for x in inputs]), theta)
        total = [a + b for a, b in zip(total, g, strict=True)]
        states.append([s.detach() - a * d for s, a, d in zip(theta, rates, g, strict=True)])

    gradients = [torch.zeros_like(x) for x in inputs]
    for i, chosen in enumerate(rows):
        learnt = [x.clone().requires_grad_() for x in inputs]
        theta = [s.clone().requires_grad_() for s in states[i]]
        g = torch.autograd.grad(inner(i, theta, [x[chosen] for x in learnt]), theta, create_graph=True)
        value = 0.0
        for k in range(len(start)):
            fixed = rates[k] * (target[k] - start[k]) + rates[k] ** 2 * total[k]
            value = value + 2 * (fixed * g[k]).sum() / denominators[k]
        gradients = [a + b for a, b in zip(gradients, torch.autograd.grad(value, learnt), strict=True)]

    of_rates = []
    for k in range(len(start)):
        rate = rates[k].clone().requires_grad_()
        own = (start[k] - target[k]).square().sum()
        distance = (start[k] - rate * total[k] - target[k]).square().sum() / own
        of_rates.append(torch.autograd.grad(distance, rate)[0])
    return gradients, of_rates
