"""How far TESLA's gradient is from the true one, at several inner step sizes.

    python -m benchmarks.tesla
    python -m benchmarks.tesla --rates 0.01,0.1,1 --seeds 10

Two views of handwritten digits (scikit-learn's, real pictures of 8 x 8): the left half goes through a small ConvNet,
the right half as a vector through the papers' text head (two layers and a residual, LayerNorm). Experts are trained on
the real pairs as the papers train theirs (InfoNCE, plain SGD at ``--expert-rate``, batches of 128) and give start and
target, one epoch apart; ``--pairs`` real pairs are the synthetic set, on which the student goes ``--steps`` inner steps
of InfoNCE from the start. Both gradients are of the same matching loss, and draw the same: what is between them is what
TESLA drops, how later parameters depend on earlier batches, and rounding, which is far less.

Cosines are between the gradients of all pictures, and of all vectors; lengths, and the slopes by each tower's step
size, are TESLA's by the true ones (a slope below 0 moves the step size the wrong way). Medians over experts, with the
least and the most. "Loss" is the mean of both towers' matching loss: above 1 the student ended farther from the target
than it began.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders import ConvNet
from limbeck.encoders.flat import Layout
from limbeck.engine.unroll import swept, tesla
from limbeck.losses.contrastive import info_nce
from limbeck.losses.trajectories import trajectory_matching

TEMPERATURE = 0.07
BATCH = 128

Tensors: TypeAlias = "tuple[Tensor, ...]"


class Towers:
    """An image tower and a text head as functions of one vector each."""

    def __init__(self, channels: int) -> None:
        self.net = ConvNet(1, 8, 4, 2, channels, grid=(2, 1))
        self.image = Layout.of(self.net.init(torch.Generator().manual_seed(0)))
        width = self.net.embedding
        self.text = Layout(
            {
                "first.weight": (width, 32), "first.bias": (width,), "second.weight": (width, width),
                "second.bias": (width,), "norm.weight": (width,), "norm.bias": (width,),
            }
        )  # fmt: skip

    def init(self, draw: torch.Generator) -> Tensors:
        image = self.image.flatten(self.net.init(draw))
        weights = {}
        for name, shape in self.text.shapes.items():
            fan = 32 if name.startswith("first") else self.net.embedding
            weights[name] = (2 * torch.rand(shape, generator=draw) - 1) / fan**0.5
        weights["norm.weight"].fill_(1)
        weights["norm.bias"].fill_(0)
        return image, self.text.flatten(weights)

    def loss(self, parameters: Sequence[Tensor], items: Sequence[Tensor]) -> Tensor:
        image = self.net.embed(self.image.weights(parameters[0]), items[0])
        w = self.text.weights(parameters[1])
        a = F.linear(items[1], w["first.weight"], w["first.bias"])
        y = a + F.linear(F.gelu(a), w["second.weight"], w["second.bias"])
        text = F.layer_norm(y, y.shape[1:], w["norm.weight"], w["norm.bias"])
        return info_nce(image, text, temperature=TEMPERATURE)


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    towers, pairs = Towers(options.channels), digits()
    cases = [case(towers, pairs, options, seed) for seed in range(options.seeds)]
    heads = ["step size", "loss", *(f"{t}: {what}" for t in ("images", "texts") for what in ("cosine", "length"))]
    print(f"| {' | '.join([*heads, 'images: slope', 'texts: slope'])} |")
    print("|---|---|---|---|---|---|---|---|")
    for rate in map(float, options.rates.split(",")):
        found = [compare(towers, pairs, each, rate) for each in cases]
        loss, *columns = zip(*found, strict=True)
        print(f"| {rate:g} | {statistics.median(loss):.3f} | {' | '.join(map(middle, columns))} |", flush=True)


def digits() -> Tensors:
    """(1797, 1, 8, 4), (1797, 32), standardised by table."""
    from sklearn.datasets import load_digits

    whole = torch.from_numpy(load_digits().images).float()
    halves = whole[:, None, :, :4], whole[:, :, 4:].flatten(1)
    return tuple((x - x.mean()) / x.std() for x in halves)


def case(
    towers: Towers, pairs: Tensors, options: argparse.Namespace, seed: int
) -> tuple[Tensors, Tensors, list[Tensor]]:
    """Start and target of an expert, and the rows of each inner step: a permutation, cut in batches."""
    draw = torch.Generator().manual_seed(seed)
    theta = towers.init(draw)
    snapshots = [theta]
    for _ in range(options.start + 1):
        for rows in torch.randperm(len(pairs[0]), generator=draw).split(BATCH)[:-1]:
            leaves = tuple(p.detach().requires_grad_() for p in theta)
            slopes = torch.autograd.grad(towers.loss(leaves, [x[rows] for x in pairs]), leaves)
            theta = tuple(p - options.expert_rate * g for p, g in zip(theta, slopes, strict=True))
        snapshots.append(theta)
    chosen, order, batches = torch.randperm(len(pairs[0]), generator=draw)[: options.pairs], [], []
    for _ in range(options.steps):
        if len(order) < options.batch:
            order = chosen[torch.randperm(len(chosen), generator=draw)].tolist()
        batches.append(torch.tensor(order[: options.batch]))
        order = order[options.batch :]
    return snapshots[-2], snapshots[-1], batches


def compare(
    towers: Towers, pairs: Tensors, expert: tuple[Tensors, Tensors, list[Tensor]], rate: float
) -> tuple[float, ...]:
    start, target, batches = expert
    rates = [torch.tensor(rate)] * 2

    def inner(_: int, parameters: Tensors, items: Tensors) -> Tensor:
        return towers.loss(parameters, items)

    def outer(reached: Tensors) -> Tensor:
        each = [trajectory_matching(*three) for three in zip(start, target, reached, strict=True)]
        return torch.stack(each).sum()

    true, other = (f(inner, outer, start, rates, pairs, batches) for f in (swept, tesla))
    found = [float(true.loss) / 2]
    for a, b in zip(true.inputs, other.inputs, strict=True):
        found += [cosine(a, b), float(b.norm() / a.norm())]
    return (*found, *(float(b / a) for a, b in zip(true.rates, other.rates, strict=True)))


def cosine(a: Tensor, b: Tensor) -> float:
    return float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def middle(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="0.001,0.01,0.03,0.1,0.3,1")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--start", type=int, default=1, help="epoch the experts start at")
    parser.add_argument("--expert-rate", type=float, default=0.1)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=5, help="experts")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
