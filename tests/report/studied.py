"""A small study's folder: random items and AVDD's at one or two budgets and two seeds, one run failed, one waiting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import limbeck
from limbeck.files import write_json
from limbeck.studies.spec import read_study

MACHINE: dict[str, Any] = {"threads": 1, "device": "cpu", "kernels": "literal"}
METHODS: dict[str, dict[str, Any]] = {
    "random": {},
    "avdd, factor 2": {"factor": 2, "steps": 2, "channels": 8, "real_batch": 8, **MACHINE},
}
SOURCE: dict[str, Any] = {
    "name": "two methods",
    "data": "toy",
    "per_class": [1, 2, 4],
    "methods": [
        "random",
        {"name": "avdd", "label": "avdd, factor 2", "settings": {"factor": 2, "steps": 2, "method.icm": 3.0}},
        {"name": "random", "label": "real, in the same bytes", "bytes_of": "avdd, factor 2"},
    ],
    "seeds": [0, 1],
    "baseline": "random",
}
"""What a person may have written."""
ERROR = {"kind": "NumericsError", "what": "step 12: the loss is <b>not finite</b>", "hint": "Take a smaller lr."}


def make_study(folder: Path, data: Any, sizes: tuple[int, ...] = (1, 2)) -> Path:
    """Runs and scores of a study, and its ``comparison.json``."""
    cells = []
    for seed in (0, 1):
        for size in sizes:
            for label, settings in METHODS.items():
                method = label.partition(",")[0]
                name = f"{method}-{size}-s{seed}"
                run = folder / "runs" / name
                limbeck.distill(method, data, out=run, per_class=size, seed=seed, **settings)
                whole = {"whole": True, "whole_seeds": [0]} if not cells else {"whole_seeds": [0]}
                limbeck.evaluate(run, seeds=[0, 1], channels=8, **whole, **MACHINE)
                cells.append(cell(name, label, size, seed, seconds={"distil": 1.5 * size, "evaluate": 0.5}))
    found = limbeck.compare([folder / "runs" / cell["name"] for cell in cells], baseline="random")
    cells.append(cell("avdd-4-s0", "avdd, factor 2", 4, 0, state="failed", error=ERROR))
    cells.append(cell("avdd-4-s1", "avdd, factor 2", 4, 1, state="waiting"))
    write_json(folder / "comparison.json", {"study": about(), "cells": cells, "comparisons": [found]})
    write_json(
        folder / "study.json", {**read_study(SOURCE).told, "hash": "0123456789abcdef", "threads": 1, "cells": {}}
    )
    return folder


def about(**other: Any) -> dict[str, Any]:
    """What ``comparison.json`` says of the study."""
    told = {
        "name": "two methods",
        "data": "toy",
        "methods": list(METHODS),
        "budgets": [{"kind": "per class", "size": size} for size in (1, 2, 4)],
        "seeds": [0, 1],
        "storage": ["fp32"],
        "hash": "0123456789abcdef",
        "baseline": "random",
    }
    return told | other


def cell(name: str, method: str, size: int, seed: int, **other: Any) -> dict[str, Any]:
    """One of its cells."""
    told = {
        "name": name,
        "method": method,
        "budget": {"kind": "per class", "size": size},
        "seed": seed,
        "storage": "fp32",
        "state": "done",
        "error": None,
        "run": f"runs/{name}",
        "seconds": {},
    }
    return told | other
