"""What keeping a set in fewer bytes costs, and what as many bytes of real items are worth.

python -m benchmarks.storage runs/first --out runs/storage
python -m benchmarks.storage runs/avdd/1/0 runs/avdd/1/1 runs/avdd/1/2 --out runs/storage --seeds 0:5

Each run's set is kept as fp32, fp16 and uint8 and scored under one protocol with the same students; beside each stand
real items drawn at random (``limbeck distill random --bytes``), as many as ship in its bytes. Differences are paired by
set and student seed: over sets where there are several runs, else over students. Prints Markdown, leaves the runs in
``--out``, and takes up the sets that are there.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEPT = ("modalities", "channels", "captions", "tower", "frozen", "width", "pretrained", "encoder")
"""Settings of a run that say what its students are."""


def main() -> None:
    from limbeck.config import seeds
    from limbeck.evaluation.study import summarise
    from limbeck.synthetic.storage import STORAGES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="runs of one method and budget")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0:5", help="of the students [0:5]")
    parser.add_argument("--protocol")
    parser.add_argument("--students")
    parser.add_argument("--metric", help="[Mean, else fused, else the first]")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    options.seeds = seeds(options.seeds)
    found: dict[str, dict[int, Row]] = {}
    for number, run in enumerate(options.runs):
        folder = options.out / str(number)
        for storage in STORAGES:
            kept = packed(run, folder / storage, storage)
            found.setdefault(storage, {})[number] = scored(kept, options)
            real = random_of(kept, folder / f"random-{storage}")
            if real is not None:
                found.setdefault(f"random, bytes of {storage}", {})[number] = scored(real, options)
    print("| set | items | bytes | score | − fp32 | 95 % interval |\n|---|---|---|---|---|---|")
    for name, rows in found.items():
        apart = [[row.scores[k] - found["fp32"][number].scores[k] for k in row.scores] for number, row in rows.items()]
        told = summarise([sum(each) / len(each) for each in apart] if len(apart) > 1 else apart[0])
        over = "" if told.interval is None else "{:+.2f} to {:+.2f}".format(*told.interval)
        cells = (
            name,
            mean(rows, "items", 0),
            mean(rows, "bytes", 0),
            mean(rows, "score", 2),
            f"{told.mean:+.2f}",
            over,
        )
        print(f"| {' | '.join(cells)} |")


@dataclasses.dataclass
class Row:
    """One set, by student seed."""

    items: int
    bytes: int
    scores: dict[int, float]

    @property
    def score(self) -> float:
        return sum(self.scores.values()) / len(self.scores)


def mean(rows: Mapping[int, Row], what: str, digits: int) -> str:
    return f"{sum(getattr(row, what) for row in rows.values()) / len(rows):.{digits}f}"


def packed(run: Path, out: Path, storage: str) -> Path:
    from limbeck.synthetic.pack import pack

    if not out.exists():
        pack(run, out, storage=storage)
    return out


def random_of(run: Path, out: Path) -> Path | None:
    """Real items of the run's seed that ship in its bytes; None where not every class would get one."""
    import limbeck
    from limbeck.engine.settings import RunSettings
    from limbeck.errors import ConfigError
    from limbeck.files import read_json

    if (out / "synthetic").exists():
        return out
    config, plain = read_json(run / "config.json"), RunSettings()
    own = {name: config[name] for name in KEPT if name in config and config[name] != getattr(plain, name)}
    try:
        limbeck.distill("random", config["data"], bytes=str(run), seed=config["seed"], out=out, **own)
    except ConfigError as error:
        if error.where != "--bytes":
            raise
        print(f"{out.name}: {error.what}")
        return None
    return out


def scored(run: Path, options: Any) -> Row:
    """The set's mean score by student seed, over architectures."""
    import limbeck

    result = limbeck.evaluate(
        run, protocol=options.protocol, seeds=options.seeds, device=options.device, threads=options.threads,
        students=tuple(options.students.split(",")) if options.students else None,
    )  # fmt: skip
    metric = options.metric or next((m for m in ("Mean", "fused") if m in result["metrics"]), result["metrics"][0])
    each: dict[int, list[float]] = {}
    for one in result["runs"]:
        each.setdefault(one["seed"], []).append(one["scores"][metric])
    about = result["trained_on"]
    return Row(about["items"], about["bytes"], {seed: sum(s) / len(s) for seed, s in each.items()})


if __name__ == "__main__":
    main()
