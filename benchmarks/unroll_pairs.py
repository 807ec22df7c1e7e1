"""The inner steps that :mod:`benchmarks.unroll` measures with ``--pairs``: two towers and LoRS's loss.

The picture's tower is the papers' ConvNet, trained as it is or with ``--frozen`` below a head; the text's is a head.
"lifted" is what runs do where there is a frozen part: "exact" with the pictures through it once a step instead of once
an inner step (limbeck/engine/lift.py); what it saves hangs on how often inner steps come back to a pair.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.encoders import ConvNet
from limbeck.encoders.head import ProjectionHead
from limbeck.encoders.tower import Tower
from limbeck.engine.lift import lifted, lowered
from limbeck.engine.unroll import swept, tesla, unrolled
from limbeck.losses.similarity import weighted_bce
from limbeck.losses.trajectories import trajectory_matching
from limbeck.synthetic.similarity import Factors, similarity

__all__ = ["pair_workload"]

TEXT, WIDTH, RANK, ALPHA, TAU = 384, 256, 10, 3.0, 0.07


def pair_workload(options: argparse.Namespace, way: str, steps: int, items: int) -> Callable[[], object]:
    """One step's gradient, in one of the ways that a table of pairs has."""
    generator = torch.Generator().manual_seed(0)
    towers = towers_of(options, generator)
    start = [t.layout.flatten(t.init(generator)).to(options.device) for t in towers]
    target = [s + 1e-2 * torch.randn(s.shape, generator=generator).to(s) for s in start]
    values = [torch.randn(items, *shape, generator=generator) for shape in (shape_of(options), (TEXT,))]
    values = [x.to(options.device) for x in (*values, *Factors.identity(items, RANK, generator))]
    rows = [torch.randperm(items, generator=generator)[: options.batch].to(options.device) for _ in range(steps)]
    rates = [torch.tensor(1e-3, device=options.device) for _ in towers]

    def loss(parameters: tuple[Tensor, ...], features: list[Tensor], factors: tuple[Tensor, ...]) -> Tensor:
        z = [t.embed(t.layout.weights(p), x) for t, p, x in zip(towers, parameters, features, strict=True)]
        return weighted_bce(z[0], z[1], similarity(*factors, alpha=ALPHA), temperature=TAU)

    def plain(_: int, parameters: tuple[Tensor, ...], taken: tuple[Tensor, ...]) -> Tensor:
        return loss(parameters, [t.lift(x) for t, x in zip(towers, taken, strict=False)], taken[2:])

    def above(_: int, parameters: tuple[Tensor, ...], taken: tuple[Tensor, ...]) -> Tensor:
        return loss(parameters, list(taken[:2]), taken[2:])

    def outer(reached: tuple[Tensor, ...]) -> Tensor:
        return sum(map(trajectory_matching, start, target, reached), torch.zeros((), device=options.device))

    def lift() -> None:
        touched, places = torch.cat(rows).unique(return_inverse=True)
        own = [x[touched] for x in values]
        features = [lifted(t, x) for t, x in zip(towers, own, strict=False)]
        found = swept(above, outer, start, rates, [*features, *own[2:]], places.split(options.batch))
        for tower, x, slope in zip(towers, own, found.inputs, strict=False):
            lowered(tower, x, slope)

    def floor() -> None:
        leaves = [s.clone().requires_grad_() for s in start]
        for step in range(steps):
            taken = tuple(x[rows[step]].requires_grad_() for x in values)
            torch.autograd.grad(plain(step, tuple(leaves), taken), (*leaves, *taken))

    ways: dict[str, Callable[[], object]] = {
        "exact": lambda: swept(plain, outer, start, rates, values, rows),
        "tesla": lambda: tesla(plain, outer, start, rates, values, rows),
        "unrolled": lambda: unrolled(plain, outer, start, rates, values, rows),
        "lifted": lift,
        "floor": floor,
    }
    return ways[way]


def towers_of(options: argparse.Namespace, generator: torch.Generator) -> list[Tower]:
    shape = shape_of(options)
    net = ConvNet(*shape, options.blocks, options.channels, first_padding=3 if shape[0] == 1 else 1, grid=(7, 7))
    if not options.frozen:
        return [Tower("convnet", net), Tower("head", ProjectionHead(TEXT, net.embedding))]
    head = ProjectionHead(net.embedding, WIDTH)
    constants = net.init(generator, options.device)
    return [Tower("convnet", head, net, constants), Tower("head", ProjectionHead(TEXT, WIDTH))]


def shape_of(options: argparse.Namespace) -> tuple[int, int, int]:
    channels, height, width = map(int, options.item.split("x"))
    return channels, height, width
