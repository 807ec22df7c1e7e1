"""What a set is made of, where it comes from, how to make it again and how to use it: words for the page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.evaluation.protocols import protocol
from limbeck.modalities import Audio, Depth, Image
from limbeck.report.read import Run
from limbeck.units import scaled

__all__ = ["Line", "Use", "facts", "fixed", "flat", "origin", "use"]


@dataclass(frozen=True)
class Line:
    """A line of the table of origins: what, and what it was; ``code`` is for a machine to read."""

    what: str
    said: str
    code: bool = False


@dataclass(frozen=True)
class Use:
    """How a set is used.

    Args:
        load, shell: the run folder's name as Python and as a shell write it.
        train: what ``limbeck.train`` takes beside it; None where it trains nothing on such a set.
        told: what ``limbeck evaluate`` found for that very student, as a sentence; else empty.
        files: what an export writes beside ``labels.csv``.
    """

    load: str
    shell: str
    train: str | None
    told: str
    files: str


def facts(run: Run) -> list[tuple[str, str, str]]:
    """(value, unit, what it is) of the tiles under the title."""
    synthetic = run.synthetic
    pairs = _settings(run).get("pairs") is not None
    by_class = synthetic.labels is not None and not pairs  # chosen pairs may have labels too
    items, decoded = len(synthetic), len(synthetic) * synthetic.factor**2
    per = f"{items / len(synthetic.classes):g} for each of {len(synthetic.classes)} classes" if by_class else "by pair"
    found = [(f"{items:,}", "item" if items == 1 else "items", per)]
    if synthetic.factor > 1:
        found.append((f"{decoded:,}", "decoded", f"factor {synthetic.factor}: each item holds {synthetic.factor**2}"))
    found.append(_bytes(run))
    if run.metrics:
        found.append((f"{len(run.metrics):,}", "steps", "of the synthetic set"))
    return found


def _bytes(run: Run) -> tuple[str, str, str]:
    synthetic = run.synthetic
    if synthetic.counted_bytes != synthetic.bytes:
        return *scaled(synthetic.counted_bytes), "of media as they ship"
    kinds = sorted(set(synthetic.storage.values()) - {"fp32"})
    kept = f", kept as {' and '.join(kinds)}" if kinds else ""
    if synthetic.provenance.get("steps_done") == 0:
        return *scaled(synthetic.bytes), f"of numbers{kept}"
    still = fixed(run)
    rest = sum(_bytes_of(run, name) for name in still)
    held = f"; {' and '.join(still)} as it was chosen, {' '.join(scaled(rest))}" if still else ""
    return *scaled(synthetic.bytes - rest), f"of learnt numbers{kept}{held}"


def _bytes_of(run: Run, modality: str) -> int:
    stored = run.synthetic.stored.get(modality)
    value = run.synthetic.values[modality]
    return value.numel() * value.element_size() if stored is None else stored.bytes


def fixed(run: Run) -> list[str]:
    """Modalities that no step changed, because the run was told so."""
    told = _settings(run).get("fixed")
    return [name for name in run.synthetic.modalities if isinstance(told, list | tuple) and name in told]


def origin(run: Run) -> list[Line]:
    """Where the set comes from, and what makes it again."""
    provenance = run.synthetic.provenance
    data, numerics, versions = (
        _mapping(provenance.get(k) or run.about.get(k)) for k in ("data", "numerics", "versions")
    )
    chosen = provenance.get("real_items")
    first = "It began as" if provenance.get("steps_done") != 0 else "It is"
    done, taken = provenance.get("steps_done"), provenance.get("steps_taken")
    lines = [
        Line("Method", str(provenance.get("method") or run.about.get("method") or "")),
        Line(
            "Real data", f"{data.get('name', '')} at {data['path']}" if data.get("path") else str(data.get("name", ""))
        ),
        Line("Hash of the data", str(data.get("hash") or ""), code=True),
        Line("Seed", str(provenance.get("seed", ""))),
        Line("Steps", f"{done} kept of {taken} taken" if taken not in (None, done) else str(done or "")),
        Line(first, f"{_count(chosen):,} real items, named in synthetic.provenance" if chosen else ""),
        Line("Hash of the run", str(provenance.get("run_hash") or run.about.get("hash") or ""), code=True),
        Line("Begun", str(run.about.get("started") or "")),
        Line("Machine", ", ".join(f"{_words(k)} {v}" for k, v in numerics.items() if k != "torch" and v is not None)),
        Line("Versions", ", ".join(f"{k} {v}" for k, v in versions.items())),
        Line("Make it again", _again(run), code=True),
        Line("Score it again", _scored(run), code=True),
    ]
    return [line for line in lines if line.said]


def _again(run: Run) -> str:
    method = run.synthetic.provenance.get("method")
    if not method or not run.config.get("data"):
        return ""
    config = shlex.quote(f"{_name(run)}/config.json")
    return f"limbeck distill {shlex.quote(str(method))} --config {config} --out {shlex.quote(_name(run) + '-again')}"


def _scored(run: Run) -> str:
    result = run.result or {}
    students, seeds = result.get("students"), result.get("seeds")
    if not result.get("protocol") or not isinstance(students, list) or not isinstance(seeds, list):
        return ""
    words = ["limbeck", "evaluate", _name(run), "--protocol", result["protocol"]]
    words += ["--students", ",".join(map(str, students)), "--seeds", ",".join(map(str, seeds))]
    words += ["--as-published"] if result.get("as_published") else []
    words += ["--split", result["split"]] if result.get("split", "test") != "test" else []
    return shlex.join(map(str, words))


def use(run: Run) -> Use:
    """How to load it, and to train a student on it."""
    modalities = run.synthetic.modalities.values()
    kinds = {"PNG" if isinstance(m, Image | Depth) else "WAV" if isinstance(m, Audio) else "NPY" for m in modalities}
    kinds |= set() if run.synthetic.similarity is None else {"NPY"}
    train, told = _student(run)
    return Use(
        load=json.dumps(_name(run), ensure_ascii=False),
        shell=shlex.quote(_name(run)),
        train=train,
        told=told,
        files=", ".join(kind for kind in ("PNG", "WAV", "NPY") if kind in kinds),
    )


def _student(run: Run) -> tuple[str | None, str]:
    """What ``limbeck.train`` takes for the first student that was scored, and what that one scored."""
    runs = (run.result or {}).get("runs")
    first = _mapping(runs[0]) if isinstance(runs, list) and runs else {}
    try:
        rules = protocol(str((run.result or {}).get("protocol")))
    except LimbeckError:
        rules = None
    if rules is None or not first or not isinstance(first.get("seed"), int):
        frozen = run.synthetic.labels is not None and _settings(run).get("encoder", "random") != "random"
        return (None if frozen else "seed=0"), ""
    if (rules.frozen and rules.task != "pairs") or rules.task == "retrieval":
        return None, ""
    scores = ", ".join(
        f"{name} {score:.1f}" for name, score in _mapping(first.get("scores")).items() if isinstance(score, int | float)
    )
    chosen = f"seed={first['seed']}, student={json.dumps(str(first.get('student')))}, protocol={json.dumps(rules.name)}"
    width = _mapping((run.result or {}).get("settings")).get("channels")
    if isinstance(width, int) and width != _settings(run).get("channels"):
        chosen += f", channels={width}"
    plain = (run.result or {}).get("selection") == "last epoch" and not (run.result or {}).get("as_published")
    return chosen, f"limbeck evaluate found for this student: {scores}." if scores and plain else ""


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value) rows."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        elif value is not None and value != "":
            rows.append((f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows


def _settings(run: Run) -> Mapping[str, Any]:
    return _mapping(run.synthetic.provenance.get("settings"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _name(run: Run) -> str:
    return run.folder.resolve().name


def _count(items: object) -> int:
    return sum(len(x) if isinstance(x, list) else 1 for x in items) if isinstance(items, list) else 0


def _words(name: str) -> str:
    return name.replace("_", " ")
