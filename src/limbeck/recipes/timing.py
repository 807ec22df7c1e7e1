"""What the steps of finished runs took, from what they wrote down of themselves."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.files import read_json

__all__ = ["timing"]


def timing(folders: Sequence[Path]) -> dict[str, Any] | None:
    """Seconds a step, ``s/step``, minutes of steps until the set that was kept, ``min``, and seconds of all steps,
    ``s``: mean and std of some runs.

    A step is the median of its run; looks at the validation split are not steps. None where a run is not finished.
    """
    from limbeck.evaluation.study import summarise

    if not all((folder / "synthetic").exists() for folder in folders):
        return None
    found = [_took(folder) for folder in folders]
    scores: dict[str, Any] = {}
    for metric in ("s/step", "min", "s"):
        spread = summarise([took[metric] for took in found])
        scores[metric] = {"mean": spread.mean, "std": spread.std, "n": spread.n}
    return {"sets": len(folders), "students": 0, "scores": scores}


def _took(folder: Path) -> dict[str, float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    clock = [0.0, *(float(json.loads(line)["seconds"]) for line in lines)]
    step = statistics.median(after - before for before, after in itertools.pairwise(clock))
    return {"s/step": step, "min": step * _kept(folder, len(lines)) / 60, "s": clock[-1]}


def _kept(folder: Path, last: int) -> int:
    """The step whose set was kept: the first of the best looks, the last step where there was none."""
    file = folder / "validation.json"
    if not file.exists():
        return last
    return int(max(read_json(file)["looks"], key=lambda look: look["score"])["step"])
