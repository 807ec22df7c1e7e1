"""Memory and seconds of the exact gradient through N inner steps, beside those of full unrolling.

    python -m benchmarks.unroll
    python -m benchmarks.unroll --item 3x224x224 --blocks 5 --channels 128 --device cuda
    python -m benchmarks.unroll --pairs --item 3x64x64
    python -m benchmarks.unroll --pairs --frozen --item 3x64x64

Each cell is a process of its own, so that one's peak is not another's. The network is the papers' ConvNet with a head
of ten classes; every inner step sees a fresh batch of ``--batch`` of 100 items. Both ways give the same gradient
(tests/engine/test_unroll.py). Peak is what the process ever held, the libraries' own memory included, on a GPU
what torch had allocated. Seconds are the processor's on a CPU, so that what else runs there does not count. The floor
is N forward and backward passes to weights and items. ``--pairs`` is of two towers (benchmarks/unroll_pairs.py).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.unroll_pairs import pair_workload
from limbeck.encoders import ConvNet
from limbeck.encoders.allocator import keep_freed_memory
from limbeck.encoders.flat import Layout
from limbeck.engine.unroll import swept, unrolled
from limbeck.losses.trajectories import trajectory_matching

ITEMS, CLASSES = 100, 10


def main() -> None:
    options = parse()
    if options.cell:
        print(json.dumps(cell(options, *options.cell)))
        return
    command = [sys.executable, "-m", "benchmarks.unroll", *sys.argv[1:], "--cell"]
    ways = ["exact", "unrolled"]
    if options.pairs:
        ways = ["lifted", *ways] if options.frozen else ["exact", "tesla", "unrolled"]
    columns = [f"{way}{unit}" for unit in (", GB", ", s", " / floor") for way in ways]
    print(f"| inner steps | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for steps in options.steps.split(","):
        found = {}
        for way in (*ways, "floor"):
            done = subprocess.run([*command, way, steps], capture_output=True, text=True, check=False)
            found[way] = json.loads(done.stdout) if done.returncode == 0 else None
        print(row(steps, [found[way] for way in ways], found["floor"]), flush=True)


def row(steps: str, ways: list[dict[str, float] | None], floor: dict[str, float] | None) -> str:
    """Of the table; a dash where the process ran out of memory."""
    assert floor is not None
    cells = [f"{w['bytes'] / 1e9:.2f}" if w else "–" for w in ways]
    cells += [f"{w['seconds']:.2f}" if w else "–" for w in ways]
    cells += [f"{w['seconds'] / floor['seconds']:.1f}" if w else "–" for w in ways]
    return f"| {steps} | {' | '.join(cells)} |"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default="2,4,8,16,32")
    parser.add_argument("--item", default="1x128x56")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pairs", action="store_true", help="two towers and LoRS's loss")
    parser.add_argument("--frozen", action="store_true", help="with --pairs: a head on a ConvNet that is not trained")
    parser.add_argument("--cell", nargs=2, metavar=("WAY", "STEPS"), help=argparse.SUPPRESS)
    return parser.parse_args()


def cell(options: argparse.Namespace, way: str, steps: str) -> dict[str, float]:
    """Bytes at the peak and the least seconds of a few repeats, after one that warms up."""
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    make = partial(pair_workload, items=ITEMS) if options.pairs else workload
    work = make(options, way, int(steps))
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    times = []
    for _ in range(options.repeats + 1):
        started = clock()
        work()
        if options.device != "cpu":
            torch.cuda.synchronize()
        times.append(clock() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "bytes": peak if options.device == "cpu" else torch.cuda.max_memory_allocated(),
        "seconds": min(times[1:]),
    }


def workload(options: argparse.Namespace, way: str, steps: int) -> Callable[[], object]:
    shape = tuple(map(int, options.item.split("x")))
    generator = torch.Generator().manual_seed(0)
    net = ConvNet(*shape, options.blocks, options.channels, first_padding=3 if shape[0] == 1 else 1, grid=(7, 7))
    weights = net.init(generator)
    weights["head"] = torch.randn(CLASSES, net.embedding, generator=generator) * 1e-2
    layout = Layout.of(weights)
    start = layout.flatten(weights).to(options.device)
    target = start + 1e-2 * torch.randn(start.shape, generator=generator).to(options.device)
    items = torch.randn(ITEMS, *shape, generator=generator).to(options.device)
    labels = (torch.arange(ITEMS) % CLASSES).to(options.device)
    rows = [torch.randperm(ITEMS, generator=generator)[: options.batch].to(options.device) for _ in range(steps)]
    rate = torch.tensor(1e-3, device=options.device)

    def inner(step: int, parameters: tuple[Tensor, ...], taken: tuple[Tensor, ...]) -> Tensor:
        own = layout.weights(parameters[0])
        return F.cross_entropy(F.linear(net.embed(own, taken[0]), own["head"]), labels[rows[step]])

    def outer(reached: tuple[Tensor, ...]) -> Tensor:
        return trajectory_matching(start, target, reached[0])

    def floor() -> None:
        leaf = start.clone().requires_grad_()
        for step in range(steps):
            taken = items[rows[step]].requires_grad_()
            torch.autograd.grad(inner(step, (leaf,), (taken,)), (leaf, taken))

    ways: dict[str, Callable[[], object]] = {
        "exact": lambda: swept(inner, outer, [start], [rate], [items], rows),
        "unrolled": lambda: unrolled(inner, outer, [start], [rate], [items], rows),
        "floor": floor,
    }
    return ways[way]


if __name__ == "__main__":
    main()
