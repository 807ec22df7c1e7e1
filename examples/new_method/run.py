"""The new method beside the nearest known one and beside chance, under one protocol."""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import sliced

import limbeck
from limbeck.evaluation.comparison import as_text

METHODS = ("random", "dm", sliced.Sliced.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits", help="an embedded set's name, or a store's folder")
    parser.add_argument("--per-class", type=int, default=1)
    parser.add_argument("--sets", type=int, default=2, help="sets of each method, from seeds of their own")
    parser.add_argument("--steps", type=int, default=100, help="of the methods that take steps")
    parser.add_argument("--students", type=int, default=2, help="of each set")
    parser.add_argument("--threads", type=int, help="of the CPU (default: its cores)")
    parser.add_argument("--kernels", default="auto", help="literal needs no compiling, which short runs do not repay")
    parser.add_argument("--out", default="runs/new_method")
    options = parser.parse_args()
    machine = {"threads": options.threads, "kernels": options.kernels}
    runs = []
    for seed, method in product(range(options.sets), METHODS):
        runs.append(run := Path(options.out) / f"{method}-{seed}")
        settings = {} if method == "random" else {"init": "random", "factor": 1, "steps": options.steps}
        settings |= {"per_class": options.per_class, "seed": seed}
        limbeck.distill(method, options.data, out=run, resume=run.exists(), **settings, **machine)
        limbeck.evaluate(run, seeds=range(options.students), **machine)
    print(as_text(limbeck.compare(runs, baseline="dm"), "markdown"), end="")


if __name__ == "__main__":
    main()
