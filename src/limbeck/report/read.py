"""What a run folder holds, as the report needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.errors import FormatError
from limbeck.files import read_json
from limbeck.synthetic import SyntheticSet

__all__ = ["Run", "read_metrics", "read_run"]


@dataclass(frozen=True)
class Run:
    """A run folder, read.

    Args:
        synthetic: the result.
        initial: the set before step 0, None where the folder has none or where no step changed it.
        config, about: ``config.json`` and ``run.json``.
        metrics: one mapping a step: ``step``, ``loss``, ``terms``, and ``seconds`` (None where not recorded).
        looks: (step, score) of the validation split, where it chose the step to keep.
        result: ``result.json``, and ``whole`` the score of the whole data beside it.
        others: what else the set was scored by, from ``results``.
        missing: sentences on what is not there.
    """

    folder: Path
    synthetic: SyntheticSet
    initial: SyntheticSet | None = None
    config: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    looks: list[tuple[float, float]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    whole: dict[str, Any] | None = None
    others: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_run(folder: Path) -> Run:
    """Read a finished run. Raises FormatError where ``folder`` is not one, or where a file in it is damaged."""
    if not folder.is_dir():
        raise FormatError("there is no such run folder", where=folder)
    if not (folder / "config.json").exists() and not (folder / "synthetic").exists():
        raise FormatError("not a run", where=folder, hint="Give the folder that limbeck distill --out made.")
    synthetic = SyntheticSet.load(folder)
    initial = SyntheticSet.load(folder / "initial") if (folder / "initial").exists() else None
    metrics = read_metrics(folder / "metrics.jsonl")
    result = _optional(folder / "result.json")
    whole = (result or {}).get("whole") or _optional(folder / "whole.json")
    missing = []
    coreset = synthetic.provenance.get("steps_done") == 0
    if initial is None and not coreset:
        missing.append("This folder does not hold the set before the first step, so there is nothing to compare with.")
    if not metrics and not coreset:
        missing.append("This folder has no metrics.jsonl, so there are no loss curves.")
    if result is None:
        missing.append("This set has not been scored yet: limbeck evaluate does it.")
    elif whole is None:
        missing.append("The whole training data has not been scored beside it, so there is no upper bound here.")
    return Run(
        folder=folder,
        synthetic=synthetic,
        initial=None if initial is not None and _same(initial, synthetic) else initial,
        config=_optional(folder / "config.json") or {},
        about=_optional(folder / "run.json") or {},
        metrics=metrics,
        looks=_looks(_optional(folder / "validation.json") or {}),
        result=result,
        whole=whole,
        others=[found for file in sorted((folder / "results").glob("*.json")) if (found := read_json(file)) != result],
        missing=missing,
    )


def _optional(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _looks(found: dict[str, Any]) -> list[tuple[float, float]]:
    looks = found.get("looks")
    try:
        return [(float(look["step"]), float(look["score"])) for look in looks or ()]
    except (KeyError, TypeError, ValueError):
        return []


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The steps in metrics.jsonl. A line cut short by a kill is left out."""
    if not path.exists():
        return []
    steps = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            step = json.loads(line)
            steps.append({
                "step": int(step["step"]), "loss": float(step["loss"]), "terms": dict(step["terms"]),
                "seconds": step.get("seconds"),
            })  # fmt: skip
        except (ValueError, KeyError, TypeError):
            continue
    return steps


def _same(a: SyntheticSet, b: SyntheticSet) -> bool:
    return list(a.values) == list(b.values) and all(
        a.values[name].shape == b.values[name].shape and bool((a.values[name] == b.values[name]).all())
        for name in a.values
    )
