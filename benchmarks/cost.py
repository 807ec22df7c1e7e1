"""Seconds a step and memory of ImageBindDC against DM, AVDD and DSA, real embeddings cached and not, in one run.

    python -m benchmarks.cost --data stores/grid_digits
    python -m benchmarks.cost --data stores/grid_digits --encoder patches

Each contender has a process of its own, whose memory is told apart; processes take turns at steps, so that a machine
whose speed drifts treats them alike. All start from random items, unpacked. "cached" steps find the real side where an
earlier run of the same seed left it; a frozen encoder's embeddings are made before the first step, and "once" says how
long that took. Memory is the largest the process ever took, with Python and torch (about 0.4 GB).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from typing import Any

FRESH = {"DM": "dm", "AVDD": "avdd", "ImageBindDC": "imagebinddc", "DSA": "dsa"}
INNER = 5
"""Epochs of DSA's networks a step above 1 per class, 50 in the paper: as in benchmarks/ladder.py."""
ROWS = [
    (f"{name}{', cached' if cached else ''}", method, cached)
    for name, method in FRESH.items()
    for cached in ((False, True) if method != "dsa" else (False,))
]


def main() -> None:
    options = parse()
    print(f"{options.data}, encoder {options.encoder}, {options.threads} thread(s)\n")
    print("| per class | contender | s a step | times ImageBindDC cached | GB | once, s |")
    print("|---|---|---|---|---|---|")
    for per_class in options.per_class:
        print(budget(options, per_class), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--per-class", type=int, nargs="+", default=[1, 10, 20])
    parser.add_argument("--encoder", default="random", help="of all but DSA, which trains its own")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def budget(options, per_class: int) -> str:
    context = multiprocessing.get_context("spawn")
    rows = [row for row in ROWS if options.encoder == "random" or row[2] or row[1] == "dsa"]
    with tempfile.TemporaryDirectory() as cache:
        pipes = {}
        for name, method, cached in rows:
            here, there = context.Pipe()
            place = (options, per_class, method, cached, cache)
            process = context.Process(target=contender, args=(there, *place), daemon=True)
            process.start()
            there.close()
            pipes[name] = (here, here.recv(), process)
        times: dict[str, list[float]] = {name: [] for name in pipes}
        for _ in range(options.steps):
            for name, (pipe, _, _) in pipes.items():
                pipe.send("step")
                times[name].append(pipe.recv())
        lines = []
        base = times["ImageBindDC, cached"]
        for name, (pipe, once, process) in pipes.items():
            pipe.send("memory")
            memory = pipe.recv() / 1e9
            process.join()
            ratio = statistics.median(a / b for a, b in zip(times[name], base, strict=True))
            took = f"{once:.1f}" if options.encoder != "random" and name != "DSA" else "-"
            lines.append(
                f"| {per_class} | {name} | {statistics.median(times[name]):.3f} | {ratio:.2f} | {memory:.2f} | {took} |"
            )
    return "\n".join(lines)


def contender(pipe, options, per_class: int, method: str, cached: bool, cache: str) -> None:
    """Takes steps when it is told to."""
    os.environ["LIMBECK_CACHE"] = cache
    import torch

    torch.set_num_threads(options.threads)
    loop, once = made(options, per_class, method, cached, cache)
    if cached and options.encoder == "random":  # an earlier run of the same seed
        for _ in zip(range(options.steps + 1), loop.run(10**6), strict=False):
            pass
        loop.close()
        loop, _ = made(options, per_class, method, cached, cache)
    next(loop.run(10**6))
    pipe.send(once)
    while pipe.recv() == "step":
        began = time.perf_counter()
        next(loop.run(10**6))
        if loop.device.type == "cuda":
            torch.cuda.synchronize()
        pipe.send(time.perf_counter() - began)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def made(options, per_class: int, method: str, cached: bool, cache: str) -> tuple[Any, float]:
    """A loop, and the seconds that its frozen encoder's real embeddings took."""
    from pathlib import Path

    from limbeck.engine.initial import initial_set
    from limbeck.engine.loop import Loop
    from limbeck.engine.plan import plan

    settings = {
        "per_class": per_class, "init": "random", "factor": 1, "steps": 10**6, "lr": 1e-9, "device": options.device,
        "threads": options.threads, "cache_limit": 100.0,
    }  # fmt: skip
    if method == "dsa":
        settings.pop("init")
    else:
        settings["encoder"] = options.encoder
    own = {"inner": INNER} if method == "dsa" and per_class > 1 else {}
    planned = plan(method, options.data, settings=settings, method_settings=own)
    planned.numerics.apply()
    start = initial_set(planned.store, planned.settings, planned.numerics, {})
    began = time.perf_counter()
    loop = Loop(planned, start, Path(cache) / "statistics" if cached else None)
    return loop, time.perf_counter() - began


if __name__ == "__main__":
    main()
