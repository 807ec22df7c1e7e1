"""Distilling in feature space, by pairs: the tables of docs/results_imagebind.md on one embedded store.

    limbeck embed stores/grid_s1 --encoder aligned --captions minilm --out stores/grid_s1_aligned
    python -m benchmarks.features --data stores/grid_s1_aligned --out runs/features/grid_s1 --part rates
    python -m benchmarks.features --data stores/grid_s1_aligned --out runs/features/grid_s1 --part main

Every method that takes steps gets the same rates to choose from, the same optimiser (Adam, as the authors' script has
it) and the same number of steps; the rate (part "rates") and the step are chosen by the validation split. Each cell is
a run that ``limbeck distill`` makes; a cell that is finished is not run again, one that was cut goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.pairs import Row
from benchmarks.tables import file_name, spread

RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
"""Of Adam; 0.01 for characteristic functions and 0.001 for the others in the authors' script (Clotho)."""
PROTOCOL = "retrieval-linear-heads"
ROWS = {
    "Random": Row("random", steps=False),
    "Herding": Row("herding", steps=False),
    "K-center": Row("kcenter", steps=False),
    "Forgetting": Row("forgetting", steps=False),
    "k-means medoids": Row("kmeans", steps=False),
    "DM": Row("dm"),
    "ImageBindDC": Row("imagebinddc"),
    "as released": Row("imagebinddc", {}, {"reading": "as_released"}),
    "by distributions": Row("imagebinddc", {}, {"reading": "distribution"}),
}
ABLATION = {
    "uni-modal alone": Row("imagebinddc", {}, {"cross": 0.0, "joint": 0.0}),
    "without the uni-modal term": Row("imagebinddc", {}, {"uni": 0.0}),
    "without the cross-modal term": Row("imagebinddc", {}, {"cross": 0.0}),
    "without the joint-modal term": Row("imagebinddc", {}, {"joint": 0.0}),
    "root form": Row("imagebinddc", {}, {"form": "root"}),
    "MMD": Row("imagebinddc", {}, {"discrepancy": "mmd"}),
    "fixed frequencies": Row("imagebinddc", {}, {"sampling": "fixed"}),
    "sampling network": Row("imagebinddc", {}, {"sampling": "network"}),
}
"""Each at the rate of ImageBindDC."""
BASE = "ImageBindDC"
COMPARED = ("Random", "k-means medoids", "DM")
"""What ImageBindDC is compared with; its own variants are compared with it."""


def main() -> None:
    options = parse()
    began = time.monotonic()
    rows = {"main": ROWS, "rates": {n: r for n, r in ROWS.items() if r.steps}, "ablation": ABLATION}[options.part]
    rows = {name: row for name, row in rows.items() if not options.rows or name in options.rows}
    tries = range(len(RATES)) if options.part == "rates" else (None,)
    cells = [(n, p, s, t) for p in options.pairs for s in range(options.seeds) for n in rows for t in tries]
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=20) as pool:
        found = dict(pool.imap_unordered(work, [(options, (ROWS | ABLATION)[c[0]], *c) for c in cells], chunksize=1))
    if options.part == "rates":
        path = options.out / "rates.json"
        chosen = (json.loads(path.read_text()) if path.exists() else {}) | choose(found)
        path.write_text(json.dumps(chosen, indent=1))
        print(json.dumps(chosen, indent=1))
    else:
        print(table(options, found))
    print(f"\n{len(cells)} sets in {time.monotonic() - began:.0f} s")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", default="main", choices=("rates", "main", "ablation"))
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--pairs", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--students", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--frequencies", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def work(arguments):
    options, row, *place = arguments
    return tuple(place), cell(options, row, *place)


def cell(options, row: Row, name: str, pairs: int, seed: int, trial: int | None) -> dict[str, Any]:
    """Distil and score one set; what is there already is read. A trial is not scored on the test split."""
    import limbeck

    place = [] if trial is None else ["trials", f"{RATES[trial]:g}"]
    folder = options.out.joinpath(*place, file_name(name), str(pairs), str(seed))
    if not (folder / "synthetic").exists():
        settings = dict(row.settings)
        if row.steps:
            rate = RATES[trial] if trial is not None else chosen_rate(options, name, pairs)
            settings |= {
                "optimiser": "adam", "lr": rate, "steps": options.steps,
                "validate": PROTOCOL, "validate_every": 50, "patience": 6,
            }  # fmt: skip
        own = dict(row.method_settings)
        if row.method == "imagebinddc":
            own.setdefault("frequencies", options.frequencies)
        limbeck.distill(
            row.method, options.data, out=folder, resume=(folder / "run.json").exists(), pairs=pairs, seed=seed,
            threads=options.threads, method_settings=own, **settings,
        )  # fmt: skip
    if trial is not None:
        looks = json.loads((folder / "validation.json").read_text())["looks"]
        return max(looks, key=lambda look: look["score"])
    path = folder / f"{PROTOCOL}.json"
    if not path.exists():
        result = limbeck.evaluate(folder, protocol=PROTOCOL, seeds=range(options.students), threads=options.threads)
        path.write_text(json.dumps(result))
    return json.loads(path.read_text())


def chosen_rate(options, name: str, pairs: int) -> float:
    """Of the row where it has had its own trials, else of ImageBindDC."""
    path = options.out / "rates.json"
    if not path.exists():
        raise SystemExit(f"{path} is not there: run --part rates first")
    chosen = json.loads(path.read_text())
    return float(chosen.get(f"{name}/{pairs}", chosen.get(f"{BASE}/{pairs}"))["rate"])


def choose(found: dict[tuple, dict[str, Any]]) -> dict[str, Any]:
    """By row and budget the rate whose sets the validation split likes best, mean over seeds, and what all got."""
    chosen: dict[str, Any] = {}
    for name, pairs in sorted({(name, pairs) for name, pairs, _, _ in found}):
        means = [
            statistics.mean(look["score"] for (n, p, _, t), look in found.items() if (n, p, t) == (name, pairs, trial))
            for trial in range(len(RATES))
        ]
        tried = dict(zip(map(str, RATES), (round(m, 2) for m in means), strict=True))
        chosen[f"{name}/{pairs}"] = {"rate": RATES[means.index(max(means))], "validation": tried}
    return chosen


def table(options, found: dict[tuple, dict[str, Any]]) -> str:
    """Markdown: scores of each row, and differences paired by set."""
    first = next(iter(found.values()))
    metrics = first["metrics"]
    chance = " | ".join(f"{first['chances'][m]:.1f}" for m in metrics)
    lines = [
        f"`{first['protocol']}` v{first['version']}, {first['selection']}", "",
        f"| pairs | row | {' | '.join(metrics)} | sets x students |", f"|---|---|{'---|' * len(metrics)}---|",
        f"| - | chance | {chance} | |",
    ]  # fmt: skip
    for pairs in options.pairs:
        rows = list(dict.fromkeys(name for name, p, _, _ in found if p == pairs))
        scores = {name: by_set(options, found, name, pairs) for name in rows}
        for name in rows:
            cells = [spread([v for own in scores[name] for v in own[m]]) for m in metrics]
            lines.append(f"| {pairs} | {name} | {' | '.join(cells)} | {len(scores[name])} x {options.students} |")
        base = scores.get(BASE) or by_set(options, read(options), BASE, pairs)
        for name in rows:
            if name in COMPARED:
                lines.append(difference(pairs, f"{BASE} minus {name}", base, scores[name], metrics))
            elif ROWS.get(name, ABLATION.get(name)).steps and name != BASE:
                lines.append(difference(pairs, f"{name} minus {BASE}", scores[name], base, metrics))
    return "\n".join(lines)


def by_set(options, found, name: str, pairs: int) -> list[dict[str, list[float]]]:
    """Of each seed's set, by metric the scores of its students."""
    results = [found[name, pairs, seed, None] for seed in range(options.seeds) if (name, pairs, seed, None) in found]
    return [{m: [run["scores"][m] for run in r["runs"]] for m in r["metrics"]} for r in results]


def read(options) -> dict[tuple, dict[str, Any]]:
    """ImageBindDC's results of part "main"."""
    found = {}
    for pairs in options.pairs:
        for seed in range(options.seeds):
            path = options.out / file_name(BASE) / str(pairs) / str(seed) / f"{PROTOCOL}.json"
            if path.exists():
                found[BASE, pairs, seed, None] = json.loads(path.read_text())
    return found


def difference(pairs: int, title: str, better, base, metrics) -> str:
    """Paired by seed; a row without a draw has one set for all seeds."""
    from limbeck.evaluation.study import summarise

    cells = []
    for metric in metrics:
        gaps = [
            statistics.mean(a[metric]) - statistics.mean(b[metric])
            for a, b in zip(better, base if len(base) > 1 else base * len(better), strict=False)
        ]
        summary = summarise(gaps)
        low, high = summary.interval or (float("nan"), float("nan"))
        cells.append(f"{summary.mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    return f"| {pairs} | *{title}* | {' | '.join(cells)} | {len(gaps)} pairs |"


if __name__ == "__main__":
    main()
