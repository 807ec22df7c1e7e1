"""The image-text tables of docs/results.md on one prepared set: methods, budgets and seeds, all under one protocol.

    python -m benchmarks.pairs --data stores/flickr8k_1k --out runs/pairs --part rates --workers 2
    python -m benchmarks.pairs --data stores/flickr8k_1k --out runs/pairs --part main --workers 2
    python -m benchmarks.pairs --data stores/flickr8k_1k --out runs/pairs --part cross --workers 2
    limbeck compare runs/pairs/frozen/main/*/*/*/retrieval-frozen-heads.json --baseline random

Every method that takes steps gets the same rates to choose from and the same number of steps; the rate (part "rates")
and the step are chosen by the validation split. Each cell is a run that ``limbeck distill`` makes; a cell that is
finished is not run again, one that was cut goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.tables import file_name

FROZEN = {"tower": "patches", "frozen": True}
TRAINED = {"tower": "convnet", "frozen": False}
EXPERTS = {"frozen": {"experts": 20, "expert_epochs": 10}, "trained": {"experts": 5, "expert_epochs": 10}}
"""Of MDM; trajectory methods have as many experts and the epochs they start from. 20 and 10 in the papers."""
SLOW = {"step_size_rate": 1e-4}
TRIALS: dict[str, list[dict[str, Any]]] = {
    "mtt_vl": [{"lr": lr, **more} for lr in (10.0, 100.0, 1.0, 0.1) for more in ({}, SLOW)],
    "tesla_wbce": [{"lr": lr, **more} for lr in (10.0, 100.0, 1.0, 0.1) for more in ({}, SLOW)],
    "lors": [{"lr": lr, **more} for lr in (10.0, 100.0, 1.0, 0.1) for more in ({}, {**SLOW, "similarity_rate": 0.1})],
    "mdm": [{"lr": lr} for lr in (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 1.0, 3000.0)],
}
"""What each method's rates are chosen from, eight each: published ones were set for pictures of 224 x 224 and BERT."""


@dataclass(frozen=True)
class Row:
    """A method and the settings in which the row differs from its defaults; ``steps`` of it."""

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    method_settings: dict[str, Any] = field(default_factory=dict)
    steps: bool = True


CORESETS = {
    "Random": Row("random", steps=False),
    "Herding": Row("herding", steps=False),
    "K-center": Row("kcenter", steps=False),
    "Forgetting": Row("forgetting", steps=False),
    "Forgetting least first": Row("forgetting", {}, {"order": "least"}, steps=False),
    "k-means medoids": Row("kmeans", steps=False),
}
METHODS = {"MTT-VL": Row("mtt_vl"), "TESLA": Row("tesla_wbce"), "LoRS": Row("lors"), "MDM": Row("mdm")}
ABLATION = {
    "MDM": Row("mdm"),
    "from random pairs": Row("mdm", {"init": "random"}),
    "from noise": Row("mdm", {"init": "noise"}),
    "from K-center": Row("mdm", {"init": "kcenter"}),
    "from herding": Row("mdm", {"init": "herding"}),
    "through the networks' start": Row("mdm", {}, {"model": "pretrained"}),
    "through one expert": Row("mdm", {}, {"model": "expert"}),
    "through a plain average": Row("mdm", {}, {"model": "naive"}),
    "clamped ratio": Row("mdm", {}, {"clamp": True}),
    "InfoNCE alone": Row("mdm", {}, {"agreement": 0.0, "discrepancy": 0.0}),
    "InfoNCE and agreement": Row("mdm", {}, {"discrepancy": 0.0}),
    "InfoNCE and discrepancy": Row("mdm", {}, {"agreement": 0.0}),
    "without InfoNCE": Row("mdm", {}, {"contrast": 0.0}),
    "Laplacian kernel": Row("mdm", {}, {"kernel": "laplacian"}),
    "chordal kernel": Row("mdm", {}, {"kernel": "chordal"}),
    "cosine kernel": Row("mdm", {}, {"kernel": "cosine"}),
    "unbiased estimator": Row("mdm", {}, {"biased": False}),
    "LoRS from k-means medoids": Row("lors", {"init": "kmeans"}),
}
EXACT = {
    "TESLA by the exact gradient": Row("tesla_wbce", {}, {"gradient": "exact"}),
    "LoRS by the exact gradient": Row("lors", {}, {"gradient": "exact"}),
}
CROSS = {name: row for name, row in (CORESETS | METHODS).items() if name not in ("Herding", "K-center", "Forgetting")}
ROWS = {
    "main": CORESETS | METHODS, "convnet": CORESETS | METHODS, "cross": CROSS, "ablation": ABLATION | EXACT,
    "rates": METHODS | EXACT,
}  # fmt: skip
STUDENTS = {"convnet": {}, "lenet": {}, "random convnet": {"students": ("convnet",), "pretrained": "none"}}
"""Of part "cross", which scores the sets of "main"."""


def main() -> None:
    options = parse()
    began = time.monotonic()
    rows = {name: row for name, row in ROWS[options.part].items() if not options.rows or name in options.rows}
    tries = range(8) if options.part == "rates" else (None,)
    cells = [
        (name, pairs, seed, trial)
        for pairs in options.pairs
        for seed in range(options.seeds)
        for name in rows
        for trial in tries
    ]
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=20) as pool:
        found = dict(pool.imap_unordered(work, [(options, rows[c[0]], *c) for c in cells], chunksize=1))
    if options.part == "rates":
        before = json.loads(chosen_file(options).read_text()) if chosen_file(options).exists() else {}
        chosen = before | choose(found, rows)
        chosen_file(options).write_text(json.dumps(chosen, indent=1))
        print(json.dumps(chosen, indent=1))
    print(f"{len(cells)} sets in {time.monotonic() - began:.0f} s")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", default="main", choices=tuple(ROWS))
    parser.add_argument("--towers", default="frozen", choices=("frozen", "trained"), help="of parts rates and ablation")
    parser.add_argument("--captions", default="minilm")
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--pairs", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--students", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.part in ("main", "convnet", "cross"):
        options.towers = "trained" if options.part == "convnet" else "frozen"
    return options


def work(arguments):
    options, row, *place = arguments
    return tuple(place), cell(options, row, *place)


def cell(options, row: Row, name: str, pairs: int, seed: int, trial: int | None) -> dict[str, Any]:
    """Distil and score one set; what is there already is read. A trial is not scored on the test split."""
    import limbeck

    place = [] if trial is None else [str(trial)]
    part = "main" if options.part == "cross" else options.part
    folder = options.out.joinpath(options.towers, part, file_name(name), str(pairs), str(seed), *place)
    if not (folder / "synthetic").exists():
        settings, own = wanted(options, row, name, pairs, trial)
        limbeck.distill(
            row.method, options.data, out=folder, resume=(folder / "run.json").exists(), pairs=pairs, seed=seed,
            method_settings=own, **settings,
        )  # fmt: skip
    if trial is not None:
        looks = json.loads((folder / "validation.json").read_text())["looks"]
        return max(looks, key=lambda look: look["score"])
    machine = {"device": options.device, "threads": options.threads, "seeds": range(options.students)}
    found = {}
    for label, given in scorings(options, row).items():
        path = folder / f"{file_name(label)}.json"
        if not path.exists():
            result = limbeck.evaluate(folder, **given, **machine)
            path.write_text(json.dumps(result))
        found[label] = json.loads(path.read_text())
    return found


def scorings(options, row: Row) -> dict[str, dict[str, Any]]:
    """What a set is scored by: a file name, and what ``limbeck evaluate`` is told."""
    protocol = "retrieval-frozen-heads" if options.towers == "frozen" else "retrieval-mdm"
    if options.part == "cross":
        return {
            f"{protocol} {name}": {"protocol": protocol, "students": (name,), **more} for name, more in STUDENTS.items()
        }
    plain = {protocol: {"protocol": protocol}}
    if row.method not in ("lors", "mtt_vl", "tesla_wbce"):
        return plain
    return plain | {f"{protocol} as published": {"protocol": protocol, "as_published": True}}


def wanted(options, row: Row, name: str, pairs: int, trial: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the run, and of its method."""
    settings = {**(FROZEN if options.towers == "frozen" else TRAINED), "captions": options.captions, **row.settings}
    settings |= {"device": options.device, "threads": options.threads}
    own = dict(row.method_settings)
    if not row.steps:
        return settings, own
    settings |= {"steps": options.steps, "validate": "auto", "validate_every": 25, "patience": 8}
    rates = chosen_rates(options, row, name, pairs) if trial is None else dict(TRIALS[row.method][trial])
    settings["lr"] = rates.pop("lr")
    experts = dict(EXPERTS[options.towers])
    if row.method != "mdm":
        experts.pop("expert_epochs")
    return settings, experts | rates | own


def chosen_rates(options, row: Row, name: str, pairs: int) -> dict[str, Any]:
    """Of the row where it has had its own trials, else of its method."""
    method = next(name for name, known in METHODS.items() if known.method == row.method)
    path = chosen_file(options)
    if not path.exists():
        raise SystemExit(f"{path} is not there: run --part rates --towers {options.towers} first")
    chosen = json.loads(path.read_text())
    return dict(chosen.get(f"{name}/{pairs}", chosen[f"{method}/{pairs}"])["rates"])


def chosen_file(options) -> Path:
    return options.out / options.towers / "rates.json"


def choose(found: dict[tuple, dict[str, Any]], rows: dict[str, Row]) -> dict[str, Any]:
    """By row and budget the rates whose sets the validation split likes best, mean over seeds, and what all got."""
    chosen: dict[str, Any] = {}
    for name, pairs in sorted({(name, pairs) for name, pairs, _, _ in found}):
        trials = TRIALS[rows[name].method]
        means = [
            statistics.mean(look["score"] for (n, p, _, t), look in found.items() if (n, p, t) == (name, pairs, trial))
            for trial in range(len(trials))
        ]
        tried = [{**rates, "validation": round(mean, 2)} for rates, mean in zip(trials, means, strict=True)]
        chosen[f"{name}/{pairs}"] = {"rates": trials[means.index(max(means))], "tried": tried}
    return chosen


if __name__ == "__main__":
    main()
