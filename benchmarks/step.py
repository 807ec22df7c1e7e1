"""Seconds a step of AVDD or DAVDD: ours, the floor, and AVDD's literal class-by-class loop, all in one run.

    python -m benchmarks.step --image 3x32x32 --mel 64x32 --per-class 10 --factor 2
    python -m benchmarks.step --precision bf16
    python -m benchmarks.step --image 3x224x224 --mel 128x56 --device cuda
    python -m benchmarks.step --method davdd

The floor is the encoders' own forward and backward to the pixels on the synthetic batch, in the best of our
group sizes, with the same kernels and precision. Contenders take turns, so that a machine whose speed drifts
treats them alike; figures are medians, and ratios medians of the ratios within a turn. The literal loop runs as
the scripts do, in fp32 and under the C library's own rules for freed memory; "memory kept" is the same with
ours. Data are generated: speed does not depend on what the pictures show.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.literal import LiteralLoop
from limbeck.data.toy import make_toy
from limbeck.encoders.allocator import LARGEST, MMAP_THRESHOLD, TOP_PAD, TRIM_THRESHOLD
from limbeck.engine.groups import groups
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.plan import plan


def main() -> None:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("LIMBECK_CACHE", folder)
        report(options, measure(options, Path(folder)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="avdd", choices=("avdd", "davdd"))
    parser.add_argument("--image", default="3x32x32")
    parser.add_argument("--mel", default="64x32")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--real-batch", type=int, default=128)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    channels, side, _ = map(int, options.image.split("x"))
    mel = tuple(map(int, options.mel.split("x")))
    store = make_toy(
        folder / "store", classes=options.classes, per_class=(options.real_batch + 20, 1, 1), image_size=side,
        channels=channels, mel=mel, captions=False,
    )  # fmt: skip
    planned = plan(
        options.method,
        store,
        settings={
            "per_class": options.per_class, "factor": options.factor, "init": "random", "steps": 10**6,
            "channels": options.channels, "real_batch": options.real_batch, "precision": options.precision,
            "kernels": options.kernels, "device": options.device, "threads": options.threads, "lr": 1e-9,
            "cache_limit": 1000.0, **({"real_statistics": "class", "draws": 1} if options.method == "davdd" else {}),
        },
        method_settings={"members": 1, "decouplers": 1} if options.method == "davdd" else {},
    )  # fmt: skip
    options.resolved = planned.numerics
    start = initial_set(store, planned.settings, planned.numerics, {})
    make = lambda cache: Loop(planned, start, cache, rehearse=True)  # noqa: E731
    uncached = make(None)
    cache = folder / "cache"
    filling = make(cache)
    for _ in zip(range(options.repeats + 1), filling.run(10**6), strict=False):
        pass
    cached = make(cache)
    floor = best_floor(uncached)
    bf16 = options.precision == "bf16"
    contenders: dict[str, Callable[[], object]] = {
        "floor": floor,
        "cached": lambda: next(cached.run(10**6)),
        "uncached": lambda: next(uncached.run(10**6)),
    }
    if options.method == "davdd":
        del contenders["uncached"]  # one pass over the whole set
    else:  # the scripts run in fp32; under bf16 the literal loop is still theirs
        contenders |= {
            "literal, memory kept": LiteralLoop(uncached, cached=False, autocast=False).step,
            "literal": LiteralLoop(uncached, cached=False, autocast=False).step,
            "literal cached": LiteralLoop(uncached, cached=True, autocast=False).step,
            **({"literal bf16": LiteralLoop(uncached, cached=False, autocast=True).step} if bf16 else {}),
        }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(
        options.repeats + 1
    ):  # the first turn warms up: compiles, allocates, fills the literal loop's means
        keep_memory(True)
        for name in ("floor", "cached"):
            contenders[name]()  # untimed: what was given back to the system is fetched again here
        for name, run in contenders.items():
            keep_memory("literal" not in name or "kept" in name)
            took = timed(run, uncached.device)
            if turn:
                seconds[name].append(took)
    return seconds


def keep_memory(keep: bool) -> None:
    """Ours asks the C library to keep what is freed; the scripts run under the library's own rules."""
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_THRESHOLD, LARGEST if keep else 128 << 10)
        libc.mallopt(TRIM_THRESHOLD, 2**31 - 1 if keep else 128 << 10)
        libc.mallopt(TOP_PAD, 64 << 20 if keep else 0)
        if not keep:
            libc.malloc_trim(0)


def best_floor(loop: Loop) -> Callable[[], None]:
    """Forward and backward to the pixels of all decoded items, in the fastest group size."""
    seen = loop.objective
    eye = seen.eye(0)
    with torch.no_grad():
        batch, _ = loop.synthetic.decode()

    def run(size: int) -> None:
        per_class = seen.items_per_step // seen.classes
        for classes in groups(seen.classes, size):
            for name, encoder in seen.encoders.items():
                items = batch[name][classes.start * per_class : classes.stop * per_class].detach().requires_grad_()
                encoder.embed(eye.weights[name], items).sum().backward()

    sizes = sorted({1, 2, 5, seen.classes, len(seen.groups[0])})
    speed = {}
    for size in sizes:
        timed(lambda size=size: run(size), loop.device)
        speed[size] = statistics.median(timed(lambda size=size: run(size), loop.device) for _ in range(3))
    best = min(speed, key=lambda size: speed[size])
    return lambda: run(best)


def timed(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def report(options: argparse.Namespace, seconds: dict[str, list[float]]) -> None:
    ratio = lambda a, b: statistics.median(x / y for x, y in zip(seconds[a], seconds[b], strict=True))  # noqa: E731
    result = {
        "numerics": options.resolved.to_dict(),
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "cached / floor": ratio("cached", "floor"),
    }
    for a, b in (
        ("literal", "uncached"), ("literal", "cached"), ("literal cached", "cached"),
        ("literal, memory kept", "uncached"), ("literal bf16", "uncached"),
    ):  # fmt: skip
        if a in seconds:
            result[f"{a} / {b}"] = ratio(a, b)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{options.image} + {options.mel}, {options.classes} x {options.per_class}, factor {options.factor}")
    print(f"{result['numerics']}")
    for name, value in result["seconds"].items():
        print(f"  {name:22} {value:8.3f} s")
    for name, value in result.items():
        if "/" in name:
            print(f"  {name:32} {value:6.2f}")


if __name__ == "__main__":
    main()
