"""Markdown tables of what ``benchmarks.pairs`` found, as docs/results_image_text.md has them.

python -m benchmarks.pair_tables --out runs/pairs --part main --pairs 20 50
python -m benchmarks.pair_tables --out runs/pairs --part convnet
python -m benchmarks.pair_tables --out runs/pairs --part ablation
python -m benchmarks.pair_tables --out runs/pairs --part cross
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.pairs import ABLATION, CORESETS, CROSS, EXACT, METHODS, STUDENTS, Row
from benchmarks.tables import file_name

RECALLS = ("IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10")
FROZEN, TRAINED = "retrieval-frozen-heads", "retrieval-mdm"
SETS = range(3)
"""Of ablations and other architectures, with as many students."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", default="main", choices=("main", "convnet", "ablation", "cross"))
    parser.add_argument("--pairs", type=int, nargs="+", default=[20])
    options = parser.parse_args()
    for pairs in options.pairs:
        {"main": scores, "convnet": scores, "ablation": ablation, "cross": cross}[options.part](options, pairs)


def scores(options: Any, pairs: int) -> None:
    """Recalls, their mean and its interval, and the difference from random pairs."""
    import limbeck

    towers, protocol = ("frozen", FROZEN) if options.part == "main" else ("trained", TRAINED)
    folder = options.out / towers / options.part
    metrics = ",".join((*RECALLS, "Mean"))
    random = sorted(folder.glob(f"Random/{pairs}/*/{protocol}.json"))
    for name, row in (CORESETS | METHODS).items():
        own = sorted(folder.glob(f"{file_name(name)}/{pairs}/*/{protocol}.json"))
        files = own if name == "Random" else [*own, *random]
        found = limbeck.compare(files, metric=metrics, baseline="random")["rows"]
        (one,) = (r for r in found if r["method"] == row.method)
        mean = one["scores"]["Mean"]
        cells = [f"{one['scores'][m]['mean']:.1f}" for m in RECALLS]
        cells += [f"**{spread(mean)}**", between(mean["interval"], " to ")]
        cells += [difference(mean.get("difference")), published(folder / file_name(name), pairs)]
        sets, students = one["n"]["sets"], one["n"]["students"] // one["n"]["sets"]
        took = "" if not one["seconds"] else f"{one['seconds']:.0f}"
        line(pairs, name, *cells, f"{sets} x {students}", f"{one['bytes'] / 1e6:.2f}", took)


def published(folder: Path, pairs: int) -> str:
    """Mean of the students that were trained with what their sets have learnt."""
    import limbeck

    files = sorted(folder.glob(f"{pairs}/*/*as_published.json"))
    return spread(limbeck.compare(files, as_published=True)["rows"][0]["scores"]["Mean"]) if files else ""


def ablation(options: Any, pairs: int) -> None:
    """Mean, difference from the row's base paired by set, the validation's score and the steps kept."""
    folder = options.out / "frozen"
    for name, row in (ABLATION | EXACT).items():
        own = [mean_of(folder / "ablation" / file_name(name) / str(pairs) / str(s), FROZEN) for s in SETS]
        base = [mean_of(base_of(folder, row, pairs) / str(s), FROZEN) for s in SETS]
        looks = [best_look(folder / "ablation" / file_name(name) / str(pairs) / str(s)) for s in SETS]
        gap = "" if name == "MDM" else difference(summary([a - b for a, b in zip(own, base, strict=True)]))
        steps = ", ".join(str(look["step"]) for look in looks)
        line(name, spread(summary(own)), gap, f"{statistics.mean(look['score'] for look in looks):.1f}", steps)


def base_of(folder: Path, row: Row, pairs: int) -> Path:
    """MDM's own row of the same part; of the others the set of the main table."""
    name = next(name for name, known in METHODS.items() if known.method == row.method)
    return folder / ("ablation" if name == "MDM" else "main") / file_name(name) / str(pairs)


def cross(options: Any, pairs: int) -> None:
    """Mean by the tower that scores."""
    labels = [FROZEN, *(file_name(f"{FROZEN} {name}") for name in STUDENTS)]
    for name in CROSS:
        folder = options.out / "frozen" / "main" / file_name(name) / str(pairs)
        line(name, *(spread(summary([mean_of(folder / str(s), label) for s in SETS])) for label in labels))


def mean_of(folder: Path, label: str) -> float:
    """Of the first three students of a set."""
    runs = json.loads((folder / f"{label}.json").read_text())["runs"]
    return statistics.mean(run["scores"]["Mean"] for run in runs if run["seed"] in SETS)


def best_look(folder: Path) -> dict[str, Any]:
    return max(json.loads((folder / "validation.json").read_text())["looks"], key=lambda look: look["score"])


def summary(values: list[float]) -> dict[str, Any]:
    from limbeck.evaluation.study import summarise

    found = summarise(values)
    return {"mean": found.mean, "std": found.std, "interval": found.interval}


def spread(found: dict[str, Any]) -> str:
    return f"{found['mean']:.1f} ± {found['std']:.1f}"


def difference(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['mean']:+.1f} [{between(found['interval'], ', ')}]".replace("-", "−")


def between(interval: Any, word: str) -> str:
    return word.join(f"{bound:.1f}" for bound in interval)


def line(*cells: Any) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
