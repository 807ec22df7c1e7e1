"""The ladder of docs/results.md on one prepared set: every method, budget and seed, scored under one protocol.

    python -m benchmarks.ladder --data stores/grid_digits --out runs/ladder/grid_digits --workers 2 --threads 1

Each cell is the run that the command printed beside it makes; a cell that is finished is not run again. Nothing is
chosen by a score.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path

ROWS = {
    "Random": ("random", {}),
    "Herding": ("herding", {}),
    "Herding + factor 2, undistilled": ("herding", {"factor": 2}),
    "DM": ("dm", {}),
    "DM at AVDD's step length": ("dm_rescaled", {}),
    "AVDD": ("avdd", {}),
}
SAME_FOR_EVERY_SEED = ("herding",)
"""Methods without a draw: one set."""


def main() -> None:
    options = parse()
    cells = [
        (row, per_class, seed)
        for per_class in options.per_class
        for seed in range(options.seeds)
        for row, (method, _) in ROWS.items()
        if seed == 0 or method not in SAME_FOR_EVERY_SEED
    ]
    context = multiprocessing.get_context("spawn")
    began = time.monotonic()
    # the caches (whole-data features and scores) are filled before they are shared
    with context.Pool(1) as pool:
        whole = pool.apply(score_whole, (options,))
        pool.apply(cell, (options, "Herding", options.per_class[0], 0))
    with context.Pool(options.workers) as pool:
        results = dict(pool.imap_unordered(work, [(options, *c) for c in cells], chunksize=1))
    print(table(options, results, whole))
    print(f"\n{len(cells)} sets in {time.monotonic() - began:.0f} s")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-class", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--students", type=int, default=5)
    parser.add_argument("--protocol", nargs="+", default=["recognition-avdd"])
    parser.add_argument("--split", default="test")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], help="run settings of every distilled row, as name=number")
    return parser.parse_args()


def work(arguments):
    options, *place = arguments
    return tuple(place), cell(options, *place)


def cell(options, row: str, per_class: int, seed: int) -> dict:
    """Distil and score one set; what is there already is read."""
    import limbeck

    method, settings = ROWS[row]
    folder = options.out / row.split(",")[0].replace(" ", "_") / str(per_class) / str(seed)
    machine = {"device": options.device, "kernels": options.kernels, "threads": options.threads}
    if method not in ("random", "herding"):
        settings = settings | {k: float(v) if "." in v else int(v) for k, v in (s.split("=") for s in options.set)}
    began = time.monotonic()
    if not (folder / "synthetic").exists():
        limbeck.distill(
            method, options.data, out=folder, resume=(folder / "config.json").exists(),
            per_class=per_class, seed=seed, **settings, **machine,
        )  # fmt: skip
        (folder / "seconds").write_text(str(time.monotonic() - began))
    found = {"seconds": float((folder / "seconds").read_text())}
    config = json.loads((folder / "config.json").read_text())
    found["steps"] = config["steps"]
    for protocol in options.protocol:
        path = folder / f"{protocol}.{options.split}.json"
        if not path.exists():
            result = limbeck.evaluate(
                folder, protocol=protocol, seeds=range(options.students), split=options.split, **machine
            )
            path.write_text(json.dumps(result))
        found[protocol] = json.loads(path.read_text())
    return found


def score_whole(options) -> dict:
    import limbeck

    machine = {"device": options.device, "kernels": options.kernels, "threads": options.threads}
    return {
        protocol: limbeck.evaluate(options.data, protocol=protocol, seeds=range(3), split=options.split, **machine)
        for protocol in options.protocol
    }


def table(options, results: dict, whole: dict) -> str:
    lines = []
    for protocol in options.protocol:
        metrics = list(whole[protocol]["mean"])
        names = {"audio": "A", "image": "V", "fused": "AV"}
        order = [m for m in ("audio", "image", "fused") if m in metrics]
        version = whole[protocol]["version"]
        lines += ["", f"`{protocol}` v{version}, {options.split} split, chance {whole[protocol]['chance']:.0f}", ""]
        lines += [
            f"| per class | row | {' | '.join(names[m] for m in order)} | sets x students | steps | s a set |",
            f"|---|---|{'---|' * len(order)}---|---|---|",
        ]
        for per_class in options.per_class:
            for row in ROWS:
                found = [r for (name, n, _), r in sorted(results.items()) if (name, n) == (row, per_class)]
                cells = [spread([run["scores"][m] for r in found for run in r[protocol]["runs"]]) for m in order]
                took = statistics.median(r["seconds"] for r in found)
                lines.append(
                    f"| {per_class} | {row} | {' | '.join(cells)} | {len(found)} x {options.students} "
                    f"| {found[0]['steps']} | {took:.0f} |"
                )
            for better, base in (("AVDD", "Herding + factor 2, undistilled"), ("AVDD", "DM at AVDD's step length")):
                lines.append(difference(options, results, protocol, per_class, better, base, order))
        cells = [spread([run["scores"][m] for run in whole[protocol]["runs"]]) for m in order]
        lines.append(f"| all | Whole data | {' | '.join(cells)} | {whole[protocol]['n']} students | | |")
    return "\n".join(lines)


def difference(options, results, protocol, per_class, better, base, order) -> str:
    """Paired by set seed, each set's score the mean of its students: mean difference and 95 % interval."""
    from limbeck.evaluation.study import summarise

    cells = []
    for metric in order:
        gaps = []
        for seed in range(options.seeds):
            other = results.get((base, per_class, seed)) or results[(base, per_class, 0)]
            one = results[(better, per_class, seed)]
            gaps.append(one[protocol]["mean"][metric] - other[protocol]["mean"][metric])
        found = summarise(gaps)
        low, high = found.interval or (float("nan"), float("nan"))
        cells.append(f"{found.mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    return f"| {per_class} | *{better} minus {base}* | {' | '.join(cells)} | {options.seeds} pairs | | |"


def spread(scores: list[float]) -> str:
    return f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else f"{scores[0]:.1f}"


if __name__ == "__main__":
    main()
