"""The tables of docs/results.md on one prepared set: methods, budgets and seeds, scored under named protocols.

    python -m benchmarks.ladder --data stores/grid_digits --out runs/ladder/grid_digits --part ladder
    python -m benchmarks.ladder --data stores/grid_digits --out runs/ladder/grid_digits --part retrieval --students 2

Each cell is the run that the command printed beside it makes; a cell that is finished is not run again, one that was
cut goes on. Nothing is chosen by a score: every method has the settings of its paper or the preset of the data's size,
and none got a trial.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import tables

BANK = {"members": 10}
SMALLER = {("av_mnist", n): {"method.members": 5} for n in (1, 10)}
"""Encoder pairs of DAVDD's bank here; 40 in the paper."""
GRADIENTS = {
    ("av_mnist", 1): {"steps": 40}, ("av_mnist", 10): {"steps": 50, "method.inner": 5},
    ("grid_digits", 1): {"steps": 24}, ("grid_digits", 10): {"steps": 24, "method.inner": 5},
    ("grid_digits", 20): {"steps": 12, "method.inner": 5},
}  # fmt: skip
"""DC and DSA: 1000 and 10,000 steps in the papers, with 50 inner epochs at 10 per class."""
SMALL_SET = {"method.expert_batch": 32}
"""Below a thousand items; 256 in the paper."""
TRAJECTORIES = {
    ("av_mnist", 1): {"steps": 24}, ("av_mnist", 10): {"steps": 55},
    ("grid_digits", 1): {"steps": 14, **SMALL_SET}, ("grid_digits", 10): {"steps": 31, **SMALL_SET},
}  # fmt: skip
"""MTT: 5000 steps in the paper."""
FACTOR = "Herding + factor 2, undistilled"
UNPACKED = {("grid_digits", 20): {"factor": 1}}
"""Its 60 items a class are fewer than the 80 that 20 hold under factor 2."""


@dataclass(frozen=True)
class Row:
    """A method with its settings; ``sets`` seeds of it, one where it has no draw (and of GraNd, whose ten trainings
    take longest); ``shorter`` loops by data set and budget, so that a set takes about as long as one of AVDD."""

    method: str
    sets: int = 5
    settings: dict[str, Any] = field(default_factory=dict)
    method_settings: dict[str, Any] = field(default_factory=dict)
    shorter: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)


ROWS = {
    "Random": Row("random"),
    "Herding": Row("herding", 1),
    FACTOR: Row("herding", 1, {"factor": 2}),
    "K-center": Row("kcenter", 1),
    "Forgetting": Row("forgetting"),
    "GraNd": Row("grand", 1),
    "DC": Row("dc", 3, shorter=GRADIENTS),
    "DSA": Row("dsa", 3, shorter=GRADIENTS),
    "MTT": Row("mtt", 3, shorter=TRAJECTORIES),
    "DM": Row("dm"),
    "DM at AVDD's step length": Row("dm_rescaled"),
    "AVDD": Row("avdd", shorter=UNPACKED),
    "DAVDD": Row("davdd", 5, {}, BANK, SMALLER),
}
ABLATION = {
    "DM": Row("dm"),
    "DAVDD: bank alone": Row("davdd", 5, {}, {**BANK, "common": 0.0, "joint": 0.0}, SMALLER),
    "DAVDD: bank and decouplers": Row("davdd", 5, {}, {**BANK, "joint": 0.0}, SMALLER),
    "DAVDD": Row("davdd", 5, {}, BANK, SMALLER),
    "DAVDD: whole-class statistics": Row("davdd", 5, {"real_statistics": "class"}, BANK, SMALLER),
}
UNIFIED = {
    "ImageBindDC": Row("imagebinddc"),
    "as released": Row("imagebinddc", 5, {}, {"reading": "as_released"}),
    "by distributions": Row("imagebinddc", 5, {}, {"reading": "distribution"}),
    "uni-modal alone": Row("imagebinddc", 5, {}, {"cross": 0.0, "joint": 0.0}),
    "without the uni-modal term": Row("imagebinddc", 5, {}, {"uni": 0.0}),
    "without the cross-modal term": Row("imagebinddc", 5, {}, {"cross": 0.0}),
    "without the joint-modal term": Row("imagebinddc", 5, {}, {"joint": 0.0}),
    "root form": Row("imagebinddc", 5, {}, {"form": "root"}),
    "MMD": Row("imagebinddc", 5, {}, {"discrepancy": "mmd"}),
    "ImageBindDC from herding, factor 2": Row("imagebinddc", 5, {"init": "herding", "factor": 2}),
}
CONTROLS = {name: ROWS[name] for name in ("Random", "Herding", FACTOR, "Forgetting", "GraNd", "DSA", "DM", "AVDD")}
"""ImageBindDC's readings of the cross-modal and joint-modal terms (J1, J0, J2) and its terms."""
CROSS = ("Random", FACTOR, "DC", "MTT", "DM", "AVDD", "DAVDD")
PAIRS = (("AVDD", FACTOR), ("AVDD", "DM at AVDD's step length"), ("DAVDD", "AVDD"), ("DAVDD", FACTOR))
UNIFIED_PAIRS = (
    ("ImageBindDC", "Random"), ("ImageBindDC", "DM"), ("ImageBindDC", "AVDD"), ("as released", "ImageBindDC"),
    ("by distributions", "ImageBindDC"), ("uni-modal alone", "ImageBindDC"),
    ("without the uni-modal term", "ImageBindDC"), ("without the cross-modal term", "ImageBindDC"),
    ("without the joint-modal term", "ImageBindDC"), ("root form", "ImageBindDC"), ("MMD", "ImageBindDC"),
    ("ImageBindDC from herding, factor 2", "AVDD"), ("ImageBindDC from herding, factor 2", FACTOR),
)  # fmt: skip
"""Differences that are printed, paired by seed."""


def main() -> None:
    options = parse()
    began = time.monotonic()
    rows = {"ablation": ABLATION, "unified": CONTROLS | UNIFIED}.get(options.part, ROWS)
    if options.part in ("architectures", "fusion"):
        names = CROSS if options.part == "architectures" else ("DM",)
        rows = {name: row for name, row in ROWS.items() if name in names}
    rows = {name: row for name, row in rows.items() if not options.rows or name in options.rows}
    cells = [
        (name, per_class, seed)
        for per_class in options.per_class
        for name, row in rows.items()
        for seed in range(min(row.sets, options.seeds))
    ]
    if options.finished:
        cells = [place for place in cells if finished(options, *place)]
        if not cells:
            raise SystemExit("nothing is finished yet")
    context = multiprocessing.get_context("spawn")
    whole: dict[str, Any] = {}
    if not options.no_whole:
        with context.Pool(1) as pool:  # in a process of its own: what it frees is given back
            whole = pool.apply(score_whole, (options,))
    with context.Pool(options.workers) as pool:
        results = dict(pool.imap_unordered(work, [(options, rows[c[0]], *c) for c in cells], chunksize=1))
    print(
        tables.table(options, rows, results, whole, {"ladder": PAIRS, "unified": UNIFIED_PAIRS}.get(options.part, ()))
    )
    print(f"\n{len(cells)} sets in {time.monotonic() - began:.0f} s")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--part", default="ladder", choices=("ladder", "unified", "retrieval", "architectures", "ablation", "fusion")
    )
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--per-class", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--seeds", type=int, default=5, help="sets of each row at most")
    parser.add_argument("--students", type=int, default=5)
    parser.add_argument("--architectures", nargs="+", default=["convnet", "lenet", "alexnet", "vgg11", "resnet18"])
    parser.add_argument("--protocol", default="recognition-avdd")
    parser.add_argument("--split", default="test")
    parser.add_argument("--fixed", nargs="*", default=[], help="modalities kept as they are, by the methods that can")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--finished", action="store_true", help="only what is there already")
    parser.add_argument("--no-whole", action="store_true")
    return parser.parse_args()


def work(arguments):
    options, row, *place = arguments
    return tuple(place), cell(options, row, *place)


def cell(options, row: Row, name: str, per_class: int, seed: int) -> dict[str, Any]:
    """Distil and score one set; what is there already is read."""
    import limbeck

    folder = options.out / tables.file_name(name) / str(per_class) / str(seed)
    settings, own = dict(row.settings), dict(row.method_settings)
    for key, value in row.shorter.get((Path(options.data).name, per_class), {}).items():
        (own if key.startswith("method.") else settings)[key.removeprefix("method.")] = value
    if options.fixed and row.method in ("dm", "avdd", "imagebinddc"):
        settings["fixed"] = tuple(options.fixed)
    if not (folder / "synthetic").exists():
        limbeck.distill(
            row.method, options.data, out=folder, resume=(folder / "run.json").exists(), per_class=per_class, seed=seed,
            method_settings=own, **settings, **machine(options),
        )  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    told = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    refuse_other(folder, config, told | {f"method.{k}": v for k, v in own.items()})
    found: dict[str, Any] = {"seconds": seconds(folder), "steps": config["steps"], "scores": {}}
    for label, given in scorings(options).items():
        path = folder / f"{label}.{options.split}.json"
        if not path.exists():
            result = limbeck.evaluate(
                folder, seeds=range(options.students), split=options.split, **given, **machine(options)
            )
            path.write_text(json.dumps(result))
        found["scores"][label] = json.loads(path.read_text())
    return found


def finished(options, name: str, per_class: int, seed: int) -> bool:
    """A set that is there and scored."""
    folder = options.out / tables.file_name(name) / str(per_class) / str(seed)
    return all((folder / f"{label}.{options.split}.json").exists() for label in scorings(options))


def refuse_other(folder: Path, config: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A finished set of other settings is not this cell's."""
    for key, value in wanted.items():
        room = config.get("method", {}) if key.startswith("method.") else config
        if room.get(key.removeprefix("method.")) != value:
            raise SystemExit(f"{folder} was made with another {key} than {value}: remove it")


def seconds(folder: Path) -> float:
    """What the steps of a set took, sessions before a kill included; 0 for a coreset. Networks that are trained once
    for a data set are not in it."""
    lines = (folder / "metrics.jsonl").read_text().splitlines() if (folder / "metrics.jsonl").exists() else []
    return json.loads(lines[-1])["seconds"] if lines else 0.0


def scorings(options) -> dict[str, dict[str, Any]]:
    """What a part scores each set by: a file name, and what ``limbeck evaluate`` is told."""
    if options.part == "retrieval":
        return {"retrieval-class": {"protocol": "retrieval-class"}}
    if options.part == "architectures":
        return {
            f"{options.protocol}.{name}": {"protocol": options.protocol, "students": (name,)}
            for name in options.architectures
        }
    if options.part == "fusion":
        return {
            f"{options.protocol}.{name}": {"protocol": options.protocol, "fusion": name}
            for name in ("sum", "concat", "attention", "ensemble")
        }
    return {options.protocol: {"protocol": options.protocol}}


def score_whole(options) -> dict[str, Any]:
    import limbeck

    if options.part == "architectures":  # hours on two cores
        return {}
    return {
        label: limbeck.evaluate(options.data, seeds=range(3), split=options.split, **given, **machine(options))
        for label, given in scorings(options).items()
    }


def machine(options) -> dict[str, Any]:
    return {"device": options.device, "kernels": options.kernels, "threads": options.threads}


if __name__ == "__main__":
    main()
