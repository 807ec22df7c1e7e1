"""Seconds a step of several ranks of one thread each, against one process of one thread and against one of as many
threads as there are ranks, all in one run.

    torchrun --nproc-per-node 2 -m benchmarks.ranks --data stores/grid_digits --per-class 10
    torchrun --nproc-per-node 2 -m benchmarks.ranks --method dsa --data toy --json

Rank 0 takes the steps of one process while the others wait without computing; contenders take turns, so that a machine
whose speed drifts treats them alike. Figures are medians, ratios medians of the ratios within a turn. Real statistics
are computed each step; with --cached it is the same step each time, whose real side the first turn has left in a cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.plan import Plan, plan
from limbeck.engine.ranks import Ranks
from limbeck.engine.session import together
from limbeck.engine.sharing import settled_by

CONTENDERS = ("one process", "one process, more threads", "ranks")


def main() -> None:
    options = parse()
    with together("cpu") as ranks, tempfile.TemporaryDirectory() as folder:
        seconds = measure(options, ranks, Path(ranks.tell(lambda: folder)))
        if ranks.first:
            report(options, ranks.size, seconds)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="avdd")
    parser.add_argument("--data", default="toy")
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--cached", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(options: argparse.Namespace, ranks: Ranks, folder: Path) -> dict[str, list[float]]:
    settings = {
        "per_class": options.per_class, "channels": options.channels, "init": "random", "steps": 10**6, "lr": 1e-9,
        "kernels": "literal", "threads": 1, "device": "cpu",
    }  # fmt: skip
    cache = folder / "cache" if options.cached else None
    torch.set_num_threads(1)
    planned = settled_by(ranks, lambda: plan(options.method, options.data, settings=settings), None, resume=False)
    planned.numerics.apply()  # as a run does
    shared = loop_of(planned, ranks, cache)
    alone = (
        loop_of(plan(options.method, options.data, settings=settings), Ranks.alone(), cache) if ranks.first else None
    )
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for turn in range(options.turns + 1):  # the first warms up
        for name, threads in (("one process", 1), ("one process, more threads", ranks.size)):
            ranks.wait()
            if alone is not None:
                alone.step = 0 if options.cached else alone.step
                keep(seconds[name], turn, timed(alone, threads))
        ranks.wait()
        shared.step = 0 if options.cached else shared.step
        keep(seconds["ranks"], turn, timed(shared, 1))
    ranks.wait()
    return seconds


def loop_of(planned: Plan, ranks: Ranks, cache: Path | None) -> Loop:
    return Loop(planned, initial_set(planned.store, planned.settings, planned.numerics, {}), cache, ranks=ranks)


def timed(loop: Loop, threads: int) -> float:
    """Seconds of a step; a rank's includes its wait for the others."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    next(loop.run(10**6))
    return time.perf_counter() - start


def keep(found: list[float], turn: int, took: float) -> None:
    if turn:
        found.append(took)


def report(options: argparse.Namespace, size: int, seconds: dict[str, list[float]]) -> None:
    def ratio(a: str, b: str) -> float:
        return statistics.median(x / y for x, y in zip(seconds[a], seconds[b], strict=True))

    found: dict[str, Any] = {
        "method": options.method, "data": options.data, "per_class": options.per_class, "channels": options.channels,
        "cached": options.cached, "ranks": size, "torch": torch.__version__,
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "one process / ranks": ratio("one process", "ranks"),
        "one process, more threads / ranks": ratio("one process, more threads", "ranks"),
    }  # fmt: skip
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.method} on {options.data}, {options.per_class} a class, {size} ranks of one thread")
    for name, value in found["seconds"].items():
        print(f"  {name:36} {value:8.3f} s")
    for name in ("one process / ranks", "one process, more threads / ranks"):
        print(f"  {name:36} {found[name]:6.2f}")


if __name__ == "__main__":
    main()
