"""Pixel rates by their scores on a validation split: the same trials for every method.

    python -m benchmarks.rates --data digits --out runs/rates

``digits`` has a validation split of its own; its test items are not looked at.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

METHODS = {
    "dm": ("dm", {}),
    "avdd": ("avdd", {}),
    "davdd": ("davdd", {"members": 4}),
    "imagebinddc": ("imagebinddc", {}),
    "as_released": ("imagebinddc", {"reading": "as_released"}),
    "distribution": ("imagebinddc", {"reading": "distribution"}),
    "root": ("imagebinddc", {"form": "root"}),
}
"""A name for each row: method and its settings."""
RATES = (0.2, 0.02, 0.002, 0.0002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["dm", "avdd", "davdd"], choices=METHODS)
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    parser.add_argument("--per-class", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print("| per class | method | rate | A | V | AV | loss, first and last tenth |")
    print("|---|---|---|---|---|---|---|")
    for per_class in options.per_class:
        for method in options.methods:
            for rate in options.rates:
                print(row(options, per_class, method, rate), flush=True)


def row(options, per_class: int, method: str, rate: float) -> str:
    """One line of the table; runs that are there are read."""
    import json

    import limbeck

    scores: dict[str, list[float]] = {"audio": [], "image": [], "fused": []}
    losses: list[tuple[float, float]] = []
    for seed in range(options.seeds):
        folder = options.out / method / str(per_class) / f"{rate:g}" / str(seed)
        name, own = METHODS[method]
        limbeck.distill(
            name, options.data, out=folder, per_class=per_class, seed=seed, lr=rate, threads=options.threads,
            method_settings=own, resume=(folder / "run.json").exists(),
        )  # fmt: skip
        result = limbeck.evaluate(
            folder, split="validation", seeds=range(options.students), threads=options.threads, device="cpu"
        )
        for metric, values in scores.items():
            values += [run["scores"][metric] for run in result["runs"]]
        lines = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        tenth = max(1, len(lines) // 10)
        losses.append((statistics.mean(lines[:tenth]), statistics.mean(lines[-tenth:])))
    cells = " | ".join(f"{statistics.mean(v):.1f} ± {statistics.stdev(v):.1f}" for v in scores.values())
    first, last = (statistics.mean(side) for side in zip(*losses, strict=True))
    return f"| {per_class} | {method} | {rate:g} | {cells} | {first:.3g}, {last:.3g} |"


if __name__ == "__main__":
    main()
