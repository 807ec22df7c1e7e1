"""What a study's folder holds, as its page needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.errors import FormatError
from limbeck.files import read_json
from limbeck.units import size

__all__ = ["Study", "StudyCell", "budget_words", "read_study"]

KEYS = ("name", "data", "per_class", "pairs", "methods", "seeds", "storage", "evaluate", "baseline")
"""Of ``study.json``, what a person says; the rest is what came of it."""


@dataclass(frozen=True)
class StudyCell:
    """One run of a study.

    Args:
        label: the method as the study calls it, with its storage where that is not fp32.
        budget: in words, such as "10 per class". amount: its number.
        run: its folder, relative to the study's.
        error: (kind, what, hint) of one that failed.
        distil, evaluate: seconds, where they are known.
    """

    name: str
    label: str
    method: str
    budget: str
    amount: int
    seed: int
    storage: str
    state: str
    run: str
    error: tuple[str, str, str] | None = None
    distil: float | None = None
    evaluate: float | None = None


@dataclass(frozen=True)
class Study:
    """A study's folder, read.

    Args:
        about: its name, data, methods, budgets, seeds and storage, as ``comparison.json`` tells them.
        comparisons: as :func:`limbeck.evaluation.compare.compare` gives them, rows labelled as the study labels them,
            and each with the study's budget that it is ``among``: real items in the bytes of a set stand beside it.
        source: a file that asks for the same study; empty where ``study.json`` is not there.
    """

    folder: Path
    about: dict[str, Any]
    cells: list[StudyCell]
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    source: str = ""

    @property
    def labels(self) -> list[str]:
        """Methods, each followed by its other ways of storage."""
        order = {name: k for k, name in enumerate(self.about["methods"])}
        every = sorted(self.cells, key=lambda cell: order.get(cell.method, len(order)))
        return list(dict.fromkeys(cell.label for cell in every))

    def state(self, state: str) -> list[StudyCell]:
        """Cells that are done, failed or waiting."""
        return [cell for cell in self.cells if cell.state == state]


def read_study(folder: Path) -> Study:
    """Read a study's folder. Raises FormatError where it is none, or where ``comparison.json`` is not whole."""
    file = folder / "comparison.json"
    if not folder.is_dir() or not file.exists():
        raise FormatError("not a study", where=folder, hint="Give the folder that limbeck study --out made.")
    found = read_json(file)
    try:
        about = dict(found["study"])
        missing = [name for name in ("name", "methods", "budgets", "seeds", "storage") if name not in about]
        if missing:
            raise KeyError(missing[0])
        cells = [_cell(cell) for cell in found["cells"]]
        comparisons = [_labelled(one, cells) for one in found["comparisons"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"no comparison of a study ({error!r})", where=file) from error
    settled = folder / "study.json"
    return Study(folder, about, cells, comparisons, _source(read_json(settled)) if settled.exists() else "")


def budget_words(budget: Mapping[str, Any]) -> str:
    """ "10 per class", "50 pairs", "1.2 MB"; empty for none."""
    kind, count = budget.get("kind"), budget.get("size")
    if kind is None or count is None:
        return ""
    return size(count) if kind == "bytes" else f"{count:,} {str(kind).replace('_', ' ')}"


def _cell(cell: Mapping[str, Any]) -> StudyCell:
    method, storage = str(cell["method"]), str(cell.get("storage") or "fp32")
    error, seconds = cell.get("error"), cell.get("seconds") or {}
    told = tuple(str(error.get(name) or "") for name in ("kind", "what", "hint")) if error else None
    return StudyCell(
        name=str(cell["name"]),
        label=method if storage == "fp32" else f"{method}, {storage}",
        method=method,
        budget=budget_words(cell["budget"]),
        amount=int(cell["budget"]["size"]),
        seed=int(cell["seed"]),
        storage=storage,
        state=str(cell["state"]),
        run=str(cell.get("run") or f"runs/{cell['name']}"),
        error=None if told is None else (told[0], told[1], told[2]),
        distil=seconds.get("distil"),
        evaluate=seconds.get("evaluate"),
    )


def _labelled(comparison: Mapping[str, Any], cells: list[StudyCell]) -> dict[str, Any]:
    """The comparison with its rows called as the study calls the cells they are made of."""
    known = {Path(cell.run).name: (cell.label, cell.budget) for cell in cells}
    rows = []
    for row in comparison["rows"]:
        found = {known[part] for one in row["sets"] for part in Path(one["path"]).parts if part in known}
        label, among = found.pop() if len(found) == 1 else (row["label"], budget_words(row["budget"]))
        rows.append({**row, "label": label, "among": among})
    return {**comparison, "rows": rows}


def _source(settled: Mapping[str, Any]) -> str:
    """What a person would write to have this study, from what ``study.json`` says it came to."""
    told = {key: settled[key] for key in KEYS if settled.get(key) is not None}
    try:
        told["methods"] = [_method(method) for method in settled["methods"]]
    except (KeyError, TypeError, AttributeError, ValueError):
        return ""
    return json.dumps(told, indent=2, ensure_ascii=False)


def _method(method: Mapping[str, Any]) -> dict[str, Any]:
    own = {f"method.{key}": value for key, value in (method.get("method_settings") or {}).items()}
    told = {"name": method["name"], "label": method["label"], "bytes_of": method.get("bytes_of")}
    settings = {**(method.get("settings") or {}), **own}
    return {key: value for key, value in {**told, "settings": settings}.items() if value}
