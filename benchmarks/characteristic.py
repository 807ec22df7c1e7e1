"""What CFD costs beside the two matrix products it stands on: projecting the rows, and the way back from projections.

    python -m benchmarks.characteristic
    python -m benchmarks.characteristic --frequencies 4096 --width 1024 --items 128 --turns 15 --threads 1 2

"forward and backward" is one set's, to the gradient of its rows; the other set's functions are there already. "left to
autograd" is the same without an autograd function of its own. Contenders take turns; figures are medians, ratios
medians of the ratios within a turn, so that a busy machine weighs on both sides. What a step may spend besides stands
below: the real rows' functions, the drawing of new frequencies, and the Gaussian kernel that the squared form samples.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.losses.characteristic import Phi, characteristic, draw_frequencies, root, squared
from limbeck.losses.kernel import mmd
from limbeck.rng import stream

FLOOR = "two products"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frequencies", type=int, default=4096)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--items", type=int, default=128)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true", help="the process's own seconds, for a busy machine")
    options = parser.parse_args()
    print(f"{options.items} rows of width {options.width}, {options.frequencies} frequencies, float32, torch", end=" ")
    print(torch.__version__, torch.cuda.get_device_name() if options.device != "cpu" else "")
    for threads in options.threads:
        torch.set_num_threads(threads)
        print(f"\n{threads} thread{'s' * (threads > 1)}: milliseconds, and as many times the {FLOOR}")
        for name, (seconds, ratio) in measured(contenders(options), options).items():
            print(f"  {name:44} {1000 * seconds:8.2f} {ratio:6.2f}")


def contenders(options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    n, d, count = options.items, options.width, options.frequencies
    draw, where = stream(0, "rows"), options.device
    x, y = (F.normalize(torch.randn(n, d, generator=draw), dim=1).to(where) for _ in range(2))
    t, slope = draw_frequencies(count, d, draw, device=where), torch.randn(n, count, generator=draw).to(where)
    y.requires_grad_()
    frequencies = t.clone().requires_grad_()
    real = characteristic(x, (n,), t)

    def products() -> None:
        with torch.no_grad():
            y @ t.T
            slope @ t

    def there_and_back(of: Callable[[], Tensor], *leaves: Tensor) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(of(), leaves)

    def left_to_autograd() -> Tensor:
        projected = y @ t.T
        return distance(real, (projected.cos().mean(0), projected.sin().mean(0)))

    sets = (x, (n,), y, (n,))
    return {
        FLOOR: products,
        "forward and backward": there_and_back(lambda: distance(real, characteristic(y, (n,), t)), y),
        "forward and backward, left to autograd": there_and_back(left_to_autograd, y),
        "squared, with the real rows": there_and_back(lambda: squared(*sets, t), y),
        "root, with the real rows": there_and_back(lambda: root(*sets, t), y),
        "squared, to the frequencies, too": there_and_back(lambda: squared(*sets, frequencies), y, frequencies),
        "drawing frequencies": lambda: draw_frequencies(count, d, draw, device=where),
        "Gaussian kernel, with the real rows": there_and_back(lambda: mmd(*sets, 1.0), y),
    }


def distance(x: Phi, y: Phi) -> Tensor:
    return ((x[0] - y[0]).square() + (x[1] - y[1]).square()).mean()


def measured(works: dict[str, Callable[[], Any]], options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Seconds of each, and how many times the floor's."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(options.turns + 3):  # the first three warm up
        for name, work in works.items():
            took = clocked(work, options)
            if turn >= 3:
                found[name].append(took)
    return {
        name: (statistics.median(times), statistics.median(a / b for a, b in zip(times, found[FLOOR], strict=True)))
        for name, times in found.items()
    }


def clocked(work: Callable[[], Any], options: argparse.Namespace) -> float:
    clock = time.process_time if options.cpu_time else time.perf_counter
    wait = torch.cuda.synchronize if options.device != "cpu" else bool
    wait()
    start = clock()
    work()
    wait()
    return clock() - start


if __name__ == "__main__":
    main()
