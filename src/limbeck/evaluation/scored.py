"""Scores on disk as they were found: what each number means, and what it is a score of."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.errors import FormatError
from limbeck.files import digest_of, read_json

__all__ = ["LAST_DIGITS", "Scored", "meaning", "read_scores", "settings_id", "shipped", "study_runs"]

LAST_DIGITS = ("device", "kernels", "threads", "at_once", "torch")
"""Settings of a score that change its last digits at most."""
OF_SET = ("training_items", "training_pairs", "missing_classes", "epochs", "augmented")
"""Settings of a score that tell of the set, not of how it was scored."""
LEARNT = ("rates", "loss", "similarity", "temperature")
"""Settings that as published are the set's own."""
FREE = frozenset(("data", "seed", "pairs", "per_class", "bytes", "device", "kernels", "threads", "group", "real_group"))
KEPT = frozenset(("cache", "cache_limit", "checkpoint_every", "snapshots", "tensorboard"))
"""These and the FREE settings of a run may differ between sets of one row: the budget stands beside them."""


@dataclass(frozen=True)
class Scored:
    """A score of a set, or of whole data where ``method`` is None.

    Args:
        where: the file. run: the folder or file a person knows it by.
        result: what the file holds, checked.
        settings: of the run, without seed, budget and what changes no bit; None where they are not known.
        seed: of the set.
        budget: such as ("pairs", 100), or ("bytes", n) of real items; ("items", n) where the settings are not known.
        bytes: of learnt numbers as they are kept, or of real items as they ship. steps: taken. seconds: of these steps.
        content: equal only where sets are, whatever made them.
        label: what a study calls the method under these settings.
    """

    where: Path
    run: Path
    result: dict[str, Any]
    method: str | None = None
    settings: dict[str, Any] | None = None
    seed: int | None = None
    budget: tuple[str, int] | None = None
    bytes: int | None = None
    steps: int | None = None
    seconds: float | None = None
    run_hash: str | None = None
    content: str = ""
    label: str | None = None
    scores: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    """By student architecture and student seed, by metric."""

    @property
    def name(self) -> str:
        """What its row is called, settings apart."""
        return self.label or str(self.method)

    @property
    def size(self) -> str:
        """Its budget, in words."""
        return "budget not known" if self.budget is None else f"{self.budget[1]} {self.budget[0]}"

    @property
    def in_bytes(self) -> bool:
        """Whether it is of real items under a budget in bytes, which stand beside sets of any budget."""
        return self.budget is not None and self.budget[0] == "bytes"

    @property
    def metrics(self) -> list[str]:
        """In the order of the result."""
        every = next(iter(next(iter(self.scores.values())).values()))
        return [name for name in self.result.get("metrics") or every if name in every]


def read_scores(path: Path) -> list[Scored]:
    """The scores of a run's folder, none where it has not been scored, or the one of a result's file.

    Raises FormatError where ``path`` is neither, or a file in it is no result.
    """
    if path.is_file():
        return [_read(path, path)]
    if not path.is_dir():
        raise FormatError("there is no such run or result", where=path)
    files = sorted((path / "results").glob("*.json"))
    if not files and (path / "result.json").exists():
        files = [path / "result.json"]
    if not files and not any((path / name).exists() for name in ("config.json", "synthetic")):
        raise FormatError("neither a run nor a result", where=path, hint="Give run folders, or their results/*.json.")
    return [_read(file, path) for file in files]


def study_runs(path: Path) -> dict[Path, str] | None:
    """The runs of a study's folder that were begun, each with what the study calls its method; None of another path.

    Raises FormatError where the study's file is damaged.
    """
    file = path / "study.json"
    if not file.is_file():
        return None
    cells = read_json(file).get("cells")
    if not isinstance(cells, dict) or not all(isinstance(told, dict) and "label" in told for told in cells.values()):
        raise FormatError("not the file of a study", where=file)
    runs = {path / "runs" / name: str(told["label"]) for name, told in cells.items()}
    return {run: label for run, label in runs.items() if (run / "config.json").exists()}


def meaning(result: Mapping[str, Any]) -> dict[str, Any]:
    """What two scores must have in common to stand in one table, by name; flat."""
    published = bool(result.get("as_published"))
    apart = (*LAST_DIGITS, *OF_SET, *(LEARNT if published else ()))
    settings = {k: v for k, v in result["settings"].items() if k not in apart}
    named = {
        "protocol": result["protocol"],
        "version": result["version"],
        "selection": result.get("selection"),
        "split": result.get("split"),
        "data hash": result.get("data_hash"),
        "students": list(result["students"]),
        "as published": published,
    }
    return dict(_flat(named | settings))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "weights.file":  # their hash says which they are
            yield f"{prefix}{name}", value


def _read(file: Path, given: Path) -> Scored:
    result = read_json(file)
    scores = _scores(result, file)
    around = (file.parent, file.parent.parent)
    folder = next((f for f in around if (f / "config.json").exists() or (f / "synthetic").exists()), file.parent)
    trained_on = result.get("trained_on")
    if not isinstance(trained_on, dict):
        return Scored(file, given, result, content=str(file), scores=scores)
    provenance = _provenance(folder, trained_on.get("run_hash"), file)
    settings = trained_on.get("settings") or provenance.get("settings")
    told = settings if isinstance(settings, dict) else {}
    steps, seconds = _work(folder / "metrics.jsonl") if provenance else (None, None)
    if told:
        told = {**told, "storage": told.get("storage", "fp32")}  # runs from before there was any other
    sizes = {
        "bytes": told.get("bytes"),
        "pairs": told.get("pairs"),
        "per class": told.get("per_class"),
        "items": trained_on.get("items"),
    }
    return Scored(
        where=file,
        run=given,
        result=result,
        method=str(trained_on.get("method")),
        settings={k: v for k, v in told.items() if k not in FREE | KEPT} if told else None,
        seed=_count(told.get("seed")),
        budget=next(((kind, n) for kind, size in sizes.items() if (n := _count(size)) is not None), None),
        bytes=_count(trained_on.get("bytes")),
        steps=_count(provenance.get("steps_taken", steps or provenance.get("steps_done"))),
        seconds=seconds,
        run_hash=trained_on.get("run_hash"),
        content=str(provenance.get("content", file)),
        scores=scores,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _scores(result: Mapping[str, Any], where: Path) -> dict[str, dict[int, dict[str, float]]]:
    """By student and seed. Raises FormatError where a result's parts are missing or of another kind."""
    kinds = {"protocol": str, "version": int, "students": list, "settings": dict, "runs": list}
    wrong = [name for name, kind in kinds.items() if not isinstance(result.get(name), kind)]
    if wrong or not result["runs"]:
        what = f"no result: {', '.join(wrong) or 'its runs'} missing"
        raise FormatError(what, where=where, hint="limbeck evaluate writes results.")
    found: dict[str, dict[int, dict[str, float]]] = {}
    try:
        for run in result["runs"]:
            each = {str(name): float(score) for name, score in run["scores"].items()}
            seeds = found.setdefault(str(run["student"]), {})
            if run["seed"] in seeds or not each or not all(map(math.isfinite, each.values())):
                raise ValueError(f"student {run['student']} {run['seed']}")
            seeds[int(run["seed"])] = each
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"its runs are no scores of students ({error})", where=where) from error
    if len({tuple(each) for seeds in found.values() for each in seeds.values()}) > 1:
        raise FormatError("its students have scores by different metrics", where=where)
    return found


def _provenance(folder: Path, run_hash: object, file: Path) -> dict[str, Any]:
    """What the run's set says of itself; nothing where the file does not lie in a run's folder."""
    if (folder / "synthetic" / "synthetic.json").exists():
        manifest = read_json(folder / "synthetic" / "synthetic.json")
        found = manifest.get("provenance")
        provenance = found if isinstance(found, dict) else {}
        provenance = {**provenance, "content": _content(manifest, provenance) or str(folder)}
        if run_hash and provenance.get("run_hash", run_hash) != run_hash:
            raise FormatError("the score of another set than this run's", where=file, hint="Score the run again.")
        return provenance
    if (folder / "config.json").exists():
        return {"settings": read_json(folder / "config.json")}
    return {}


def _content(manifest: Mapping[str, Any], provenance: Mapping[str, Any]) -> str | None:
    """Equal where sets are: of real items as they are in whatever order, of others number by number."""
    items, captions = provenance.get("real_items"), manifest.get("captions")
    if provenance.get("steps_done") != 0 or not isinstance(items, list):
        return manifest.get("tensors_sha256")
    words = captions if isinstance(captions, list) and len(captions) == len(items) else [None] * len(items)
    return digest_of(sorted(digest_of(each) for each in zip(items, words, strict=True)))


def _work(metrics: Path) -> tuple[int | None, float | None]:
    """Steps taken and their seconds, as the last whole line says."""
    if not metrics.exists():
        return None, None
    for line in reversed(metrics.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            last = json.loads(line)
            return int(last["step"]), float(last["seconds"])
        except (ValueError, KeyError, TypeError):  # cut short by a kill
            continue
    return None, None


def shipped(scores: Iterable[Scored]) -> list[str]:
    """What the bytes of real items are, once for all that were counted alike."""
    counted = [s.result["trained_on"].get("counted") for s in scores if s.in_bytes]
    every = [c for c in counted if isinstance(c, Mapping)]
    told = dict.fromkeys("; ".join(f"{name}: {words}" for name, words in c.items()) for c in every if c)
    return [f"Budgets in bytes count real items in the form their media ship in ({each})." for each in told]


def settings_id(scored: Scored) -> str:
    """Equal for sets that differ in nothing but their seed and budget."""
    return str(scored.where) if scored.settings is None else digest_of(scored.settings)
