"""What a step of DC costs, and what its graphs keep: class by class, and all classes at once as the script does.

    python -m benchmarks.gradients --data stores/av_mnist --per-class 10 --threads 1
    python -m benchmarks.gradients --memory --per-class 10

Shares are of one step in the middle of a round: gradients of real items, gradients of synthetic items and the way back
to the pixels, and the training of the networks on the set before it. Memory is counted, not sampled: the bytes that
the graphs hold at once, at their peak.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from limbeck.data.toy import make_toy
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.objectives.gradients import GradientMatching
from limbeck.engine.plan import plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="stores/av_mnist")
    parser.add_argument("--method", default="dc")
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("LIMBECK_CACHE", folder)
        if options.memory:
            memory(options, Path(folder))
        else:
            shares(options)


def loop_of(data: Any, options: argparse.Namespace, **settings: Any) -> Loop:
    given = {"per_class": options.per_class, "threads": options.threads, "device": options.device, **settings}
    planned = plan(options.method, data, settings={**given, "init": "random"})
    planned.numerics.apply()
    return Loop(planned, initial_set(planned.store, planned.settings, planned.numerics, {}))


def shares(options: argparse.Namespace) -> None:
    loop = loop_of(options.data, options)
    spent: dict[str, float] = {}
    for name in ("_real", "_part", "networks"):
        setattr(loop.objective, name, timed(getattr(loop.objective, name), name, spent, loop.device))
    found: dict[str, list[float]] = {}
    for step in range(options.repeats + 2):  # the first two warm up: a fresh network, and the first that is trained
        spent.clear()
        start = time.perf_counter()
        next(loop.run(step + 1))
        parts = {
            "step": time.perf_counter() - start,
            "real gradients": spent["_real"],
            "synthetic, twice": spent["_part"] - spent["_real"],
            "training": spent["networks"],
        }
        if step > 1:
            for name, seconds in parts.items():
                found.setdefault(name, []).append(seconds)
    print(f"{options.method} on {options.data}, {options.per_class} per class, {loop.objective.method}")
    print(f"{loop.settings.real_batch} real items a class, {loop.objective.numerics}")
    total = statistics.median(found["step"])
    for name, seconds in found.items():
        print(f"  {name:18} {statistics.median(seconds):8.3f} s {statistics.median(seconds) / total:6.0%}")


def timed(work: Callable[..., Any], name: str, spent: dict[str, float], device: torch.device) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        start = clock(device)
        result = work(*arguments)
        spent[name] = spent.get(name, 0.0) + clock(device) - start
        return result

    return run


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def memory(options: argparse.Namespace, folder: Path) -> None:
    print("classes   class by class   all at once")
    for classes in (2, 10, 50):
        store = make_toy(
            folder / str(classes), classes=classes, per_class=(options.per_class, 1, 1), image_size=32, mel=(64, 32),
            captions=False,
        )  # fmt: skip
        peaks = []
        for step in (GradientMatching.parts, at_once):
            loop = loop_of(store, options, channels=32, real_batch=options.per_class, kernels="literal")
            loop._clear()
            with held() as bytes_held:
                for _ in step(loop.objective, 0):
                    pass
            peaks.append(bytes_held["peak"])
        print(f"{classes:7d} {peaks[0] / 1e6:13.1f} MB {peaks[1] / 1e6:10.1f} MB")


def at_once(objective: GradientMatching, step: int) -> Iterator[None]:
    """The script's way: losses of all classes are added, and differentiated once."""
    objective._now = objective.networks(step)
    leaves, total = objective.leaves(slice(None)), torch.zeros((), device=objective.device)
    for c in range(objective.classes):
        here = {name: leaf[objective.rows(range(c, c + 1))] for name, leaf in leaves.items()}
        synthetic = objective._synthetic(here, c, None)
        for modality, real in objective._real(step, c, None).items():
            total = (
                total
                + objective.method.loss(
                    argparse.Namespace(real={modality: real}, synthetic={modality: synthetic[modality]})
                ).popitem()[1]
            )
    total.backward(inputs=list(leaves.values()))
    yield


@contextmanager
def held() -> Iterator[dict[str, int]]:
    """Counts the bytes of all tensors that graphs keep at once."""
    count = {"now": 0, "peak": 0}

    class Held:
        def __init__(self, x: torch.Tensor) -> None:
            self.x = x.detach()  # else an output would hold the node that holds it
            count["now"] += x.nbytes
            count["peak"] = max(count.values())

        def __del__(self) -> None:
            count["now"] -= self.x.nbytes

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda kept: kept.x):
        yield count


if __name__ == "__main__":
    main()
