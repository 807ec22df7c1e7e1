"""Which architecture is best? Ask a distilled set, and see what the whole data says.

Every candidate is trained twice: on a distilled set and on the whole training split, under one protocol and with the
same seeds. What people hope for is that both put the candidates in the same order, and that the first takes a fraction
of the time. This program measures both, with the time that distilling took.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from scipy.stats import spearmanr

import limbeck

CANDIDATES = "convnet:1,convnet:2,convnet:4,convnet:8,convnet:16,lenet"


def main() -> None:
    options = read_options()
    out = Path(options.out)
    distilling = distilled(out / "set", options)
    rows = []
    for candidate in options.candidates.split(","):
        small, large = (trained(candidate, on, options) for on in (out / "set", options.data))
        rows.append({"candidate": candidate, "distilled": small, "whole": large})
        print(
            f"{candidate:12} distilled {small['mean']:5.1f} ± {small['std']:4.1f} in {small['seconds']:5.1f} s   "
            f"whole {large['mean']:5.1f} ± {large['std']:4.1f} in {large['seconds']:6.1f} s",
            flush=True,
        )
    found = compared(rows, distilling, options.seeds)
    print_findings(found)
    (out / "search.json").write_text(json.dumps({"rows": rows, **found}, indent=2) + "\n")


def distilled(run: Path, options: argparse.Namespace) -> float:
    """Make the set, where it is not there yet. Returns the seconds it took (of a run that was cut, those after it)."""
    kept, started = run.with_name("seconds_distilling"), time.perf_counter()
    steps = {} if options.steps is None else {"steps": options.steps}
    limbeck.distill(  # of a finished run it gives back the set, and it refuses other settings than the run's
        options.method, options.data, per_class=options.per_class, out=run, seed=options.seed, threads=options.threads,
        kernels=options.kernels, resume=run.exists(), **steps,
    )  # fmt: skip
    if not kept.exists():
        kept.write_text(str(time.perf_counter() - started))
    return float(kept.read_text())


def trained(candidate: str, target: str | Path, options: argparse.Namespace) -> dict:
    """Mean and std of the accuracy over students, and the seconds all of them took together."""
    name, _, width = candidate.partition(":")
    result = limbeck.evaluate(
        target, students=[name], channels=int(width) if width else None, seeds=range(options.seeds), split="validation",
        modalities=options.modalities.split(",") if options.modalities else None, threads=options.threads,
        kernels=options.kernels,
    )  # fmt: skip
    metric = "fused" if "fused" in result["mean"] else result["metrics"][0]
    return {"mean": result["mean"][metric], "std": result["std"][metric] or 0.0, "seconds": result["seconds"]}


def compared(rows: list[dict], distilling: float, seeds: int) -> dict:
    """How alike the two orders are, what was lost by trusting the small set, and what was saved."""
    small, large = ([row[on]["mean"] for row in rows] for on in ("distilled", "whole"))
    chosen = rows[small.index(max(small))]
    search, whole = (sum(row[on]["seconds"] for row in rows) for on in ("distilled", "whole"))
    each = (whole - search) / len(rows)
    return {
        "candidates": len(rows),
        "students_each": seeds,
        # of candidates that do equally well there is no order
        "rank_correlation": None if 1 in (len(set(small)), len(set(large))) else float(spearmanr(small, large)[0]),
        "chosen": chosen["candidate"],
        "regret": max(large) - chosen["whole"]["mean"],
        "seconds_distilling": distilling,
        "seconds_searching": search,
        "seconds_whole": whole,
        "pays_after": distilling / each if each > 0 else None,
    }


def print_findings(found: dict) -> None:
    n, seeds = found["candidates"], found["students_each"]
    alike = "none: a tie" if found["rank_correlation"] is None else f"{found['rank_correlation']:.2f}"
    print(f"\nrank correlation (Spearman) {alike} over {n} candidates, {seeds} students each")
    print(f"the distilled set chooses {found['chosen']}, {found['regret']:.1f} points below the best on whole data")
    print(
        f"seconds: {found['seconds_whole']:.0f} on whole data, {found['seconds_searching']:.0f} on the distilled set "
        f"and {found['seconds_distilling']:.0f} to distil it"
    )
    if found["pays_after"] is None:
        print("training on the distilled set was not faster: nothing is saved")
    else:
        print(f"distilling has paid for itself after {found['pays_after']:.1f} candidates")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="an embedded set's name, or a store's folder")
    parser.add_argument("--method", default="dm", help="how the set is made")
    parser.add_argument("--per-class", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of the method (default: its preset)")
    parser.add_argument("--seed", type=int, default=0, help="of the set")
    parser.add_argument("--seeds", type=int, default=3, help="students of each candidate")
    parser.add_argument(
        "--candidates", default=CANDIDATES, help="students, with a width after a colon if they have one"
    )
    parser.add_argument("--modalities", help="that students see, joined by commas (default: all)")
    parser.add_argument("--threads", type=int, help="of the CPU (default: its cores)")
    parser.add_argument("--kernels", default="auto", help="literal needs no compiling, which short runs do not repay")
    parser.add_argument("--out", default="runs/architecture_search")
    return parser.parse_args()


if __name__ == "__main__":
    main()
