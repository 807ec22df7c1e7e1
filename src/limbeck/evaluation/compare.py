"""Scores of several sets in one table, under one protocol or not at all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import ConfigError, nearest
from limbeck.evaluation.meaning import in_words, one_meaning, refuse_twins
from limbeck.evaluation.scored import LAST_DIGITS, Scored, meaning, read_scores, settings_id, shipped, study_runs
from limbeck.evaluation.study import Summary, summarise

__all__ = ["compare"]

LEADING = ("Mean", "fused")
"""Metrics that stand for a result, where it has one of them."""


def compare(
    paths: Sequence[str | Path],
    *,
    metric: str | None = None,
    baseline: str | None = None,
    protocol: str | None = None,
    as_published: bool = False,
    labels: Mapping[Path, str] | None = None,
) -> dict[str, Any]:
    """Put the scores of runs into one table: a row for each method, its settings, budget and student architecture.

    Sets of a row differ in their seed alone. A row's mean is that over sets of the mean over each set's students; its
    standard deviation and 95 % interval (Student's t) are over sets where there are two or more, else over students.

    Args:
        paths: run folders, whose results are looked through, files of results, or folders of studies, which stand for
            all their runs.
        metric: one or several joined by commas; by default "Mean", "fused", or the first there is; another's, where a
            modality says the class.
        baseline: a method, or a row's label, from whose row at the same budget each row's difference is told: paired
            by set seed, over the students both sets have. The label of a row of real items under a budget in bytes,
            such as "random · 5184 bytes", means it at every budget; their method's, the row in as many bytes.
        protocol: which result to take where runs hold several.
        as_published: take the results of students that were given what their set learnt beside its items.
        labels: what to call the method of a path instead of its name, such as two of one name under other settings.

    Returns:
        JSON-ready: what all scores have in common (protocol, version, selection, split, data, students, settings),
        ``rows``, ``whole`` (whole data, where results carry it), ``chances``, and what to know in ``notes``.

    Raises:
        ConfigError: scores that do not mean the same, naming two runs and what differs; no score; a set twice; an
            unknown metric, protocol or baseline.
        FormatError: a path is neither run nor result.
    """
    chosen, left_out = one_meaning(_read(paths, labels or {}), protocol, as_published)
    first = chosen[0].result
    metrics = _metrics(chosen, metric)
    rows = _rows([s for s in chosen if s.method is not None], metrics)
    notes = _notes(chosen) + [
        f"{row.label}, {row.sets[0].size}: {len(row.made)} runs hold {len(row.sets)} different sets, once each."
        for row in rows
        if len(row.sets) < len(row.made) and row.student == first["students"][0]
    ]
    notes += shipped([row.sets[0] for row in rows])
    if baseline is not None:
        notes += _add_differences(rows, baseline, metrics)
    items = first.get("items")
    return {
        "protocol": first["protocol"],
        "version": first["version"],
        "selection": first.get("selection"),
        "split": first.get("split"),
        "dataset": first.get("dataset"),
        "data_hash": first.get("data_hash"),
        "students": list(first["students"]),
        "as_published": bool(first.get("as_published")),
        "settings": meaning(first),
        "items": items if isinstance(items, int) else None,
        "metrics": metrics,
        "units": {m: (first.get("units") or {}).get(m, "%") for m in metrics},
        "chances": {m: (first.get("chances") or {}).get(m, first.get("chance")) for m in metrics},
        "baseline": baseline,
        "rows": [_told(row) for row in rows],
        "whole": _whole(chosen, metrics),
        "left_out": left_out,
        "notes": notes,
    }


def _read(paths: Sequence[str | Path], labels: Mapping[Path, str]) -> list[tuple[Path, list[Scored]]]:
    """The scores of each path, those of a study's runs under the labels it gives them."""
    found = []
    for path in map(Path, paths):
        runs = study_runs(path)
        for run, label in ({path: labels.get(path)} if runs is None else runs).items():
            found.append((run, [dataclasses.replace(scored, label=label) for scored in read_scores(run)]))
    return found


def _metrics(chosen: Sequence[Scored], metric: str | None) -> list[str]:
    known = [m for m in chosen[0].metrics if all(m in s.metrics for s in chosen)]
    leak = chosen[0].result.get("leak")
    if metric is None and leak and leak.get("headline") in known:
        return [leak["headline"]]
    if metric is None:
        return [next((m for m in LEADING if m in known), known[0])] if known else []
    wanted = list(dict.fromkeys(metric.split(",")))
    for name in wanted:
        if name not in known:
            raise ConfigError(f"no metric {name!r} in these scores", where="--metric", hint=nearest(name, known))
    return wanted


@dataclasses.dataclass
class _Row:
    """The sets of one method, settings and budget in the eyes of one student architecture.

    ``made`` are all of them, ``sets`` those that differ: a method without a draw makes one for every seed.
    """

    student: str
    made: list[Scored]
    label: str
    scores: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def sets(self) -> list[Scored]:
        return list({s.content: s for s in reversed(self.made)}.values())[::-1]

    def of(self, scored: Scored, metric: str) -> dict[int, float]:
        """A set's scores by student seed."""
        return {seed: each[metric] for seed, each in scored.scores[self.student].items()}


def _rows(chosen: Sequence[Scored], metrics: Sequence[str]) -> list[_Row]:
    """By architecture and budget, methods in the order in which they came."""
    groups: dict[tuple[str, Any, str], list[Scored]] = {}
    for scored in chosen:
        sets = groups.setdefault((scored.name, scored.budget, settings_id(scored)), [])
        # a study draws real items in the bytes of each set, and two of its sets may have as many
        if scored.label is None or not scored.in_bytes or all(s.run_hash != scored.run_hash for s in sets):
            sets.append(scored)
    for sets in groups.values():
        refuse_twins(sets)
    students = chosen[0].result["students"] if chosen else []
    rows = [_Row(student, sets, label) for student in students for label, sets in _labelled(list(groups.values()))]
    for row in rows:
        row.scores = {metric: _over([row.of(s, metric) for s in row.sets]) for metric in metrics}
    budgets = sorted({row.sets[0].budget or ("", 0) for row in rows})
    order = {student: k for k, student in enumerate(students)}
    return sorted(rows, key=lambda row: (order[row.student], budgets.index(row.sets[0].budget or ("", 0))))


def _labelled(groups: Sequence[list[Scored]]) -> list[tuple[str, list[Scored]]]:
    """Each group with its method's name, and the settings by which it differs from others of the method and budget."""
    labels = []
    for sets in groups:
        one = sets[0]
        twins = [g for g in groups if (g[0].name, g[0].budget) == (one.name, one.budget)]
        told = [dict(_settings(g[0].settings or {})) for g in twins]
        own = dict(_settings(one.settings or {}))
        apart = [n for n in dict.fromkeys(n for t in told for n in t) if len({str(t.get(n)) for t in told}) > 1]
        words = [f"{n.removeprefix('method.')} {in_words(own.get(n, 'not told'))}" for n in apart]
        if len(twins) > 1 and one.settings is None:
            words = [str(one.where)]
        words += [one.size] if one.in_bytes else []
        labels.append((" · ".join([one.name, *words]), sets))
    return labels


def _settings(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _over(sets: Sequence[Mapping[int, float]]) -> dict[str, Any]:
    """Mean over sets of the mean over students; spread and interval over sets, or over the one set's students."""
    if len(sets) > 1:
        return _figures(summarise([_mean(each.values()) for each in sets]), "sets")
    return _figures(summarise(list(sets[0].values())), "students")


def _figures(found: Summary, over: str) -> dict[str, Any]:
    interval = None if found.interval is None else list(found.interval)
    return {"mean": found.mean, "std": found.std, "interval": interval, "over": over}


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return math.fsum(every) / len(every)


def _add_differences(rows: Sequence[_Row], baseline: str, metrics: Sequence[str]) -> list[str]:
    """Give each row its difference from the baseline's; returns what could not be told."""
    named = [row for row in rows if baseline in (row.label, row.sets[0].label, row.sets[0].method)]
    if not named:
        raise ConfigError(f"no row {baseline!r}", where="--baseline", hint=nearest(baseline, {r.label for r in rows}))
    notes = []
    for row in rows:
        same = [b for b in named if (b.student, b.sets[0].budget) == (row.student, row.sets[0].budget)]
        same = same or [b for b in named if (b.student, b.label) == (row.student, baseline) and b.sets[0].in_bytes]
        same = same or [b for b in named if b.student == row.student and _in_bytes_of(row, b)]
        if len(same) > 1:  # one method under one label differs in nothing else
            alike = [b for b in same if _stored(b) == _stored(row)]
            same = alike if alike or all(b.sets[0].label == baseline for b in same) else same
        if len(same) > 1:
            labels = ", ".join(repr(b.label) for b in same)
            raise ConfigError(f"{baseline!r} is several rows", where="--baseline", hint=f"Name one of {labels}.")
        for metric in metrics if same and same[0] is not row else ():
            row.scores[metric]["difference"] = _paired(row, same[0], metric)
        if not same or (same[0] is not row and row.scores[metrics[0]]["difference"] is None):
            why = "no set with a seed of its own" if same else "no row at this budget"
            notes.append(f"{row.label}, {row.sets[0].size}: {baseline} has {why} to compare with.")
    return notes


def _in_bytes_of(row: _Row, base: _Row) -> bool:
    """Whether ``base`` is of real items in as many bytes as each set of ``row`` has."""
    return base.sets[0].in_bytes and {s.bytes for s in row.sets} == {(base.sets[0].budget or ("", 0))[1]}


def _stored(row: _Row) -> Any:
    return (row.sets[0].settings or {}).get("storage")


def _paired(row: _Row, base: _Row, metric: str) -> dict[str, Any] | None:
    """Of sets of equal seed, over the students both have; None where there are none."""
    other = {s.seed: s for s in base.made if s.seed is not None}
    shared: dict[tuple[str, str], dict[int, float]] = {}  # the same two sets count once
    for scored in row.made:
        there = None if scored.seed is None else other.get(scored.seed)
        if there is not None:
            ours, theirs = row.of(scored, metric), base.of(there, metric)
            if both := [seed for seed in ours if seed in theirs]:
                shared.setdefault((scored.content, there.content), {k: ours[k] - theirs[k] for k in both})
    return {**_over(list(shared.values())), "sets": len(shared)} if shared else None


def _told(row: _Row) -> dict[str, Any]:
    """A row, JSON-ready."""
    one = row.sets[0]
    sets = [
        {
            "path": str(s.where),
            "seed": s.seed,
            "students": len(s.scores[row.student]),
            "mean": {m: _mean(each[m] for each in s.scores[row.student].values()) for m in row.scores},
        }
        for s in row.sets
    ]
    kind, size = one.budget or (None, None)
    known = {name: [getattr(s, name) for s in row.sets] for name in ("bytes", "steps", "seconds")}
    means = {
        name: None if None in values else values[0] if len(set(values)) == 1 else _mean(values)
        for name, values in known.items()
    }
    return {
        "label": row.label,
        "method": one.method,
        "budget": {"kind": kind, "size": size},
        "student": row.student,
        "n": {"sets": len(sets), "students": sum(s["students"] for s in sets)},
        **means,
        "scores": row.scores,
        "sets": sets,
    }


def _whole(chosen: Sequence[Scored], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Whole data by student architecture, as rows are: of all that results carry, the one of most students."""
    carried: list[Any] = [s.result if s.method is None else s.result.get("whole") for s in chosen]
    found = []
    for student in chosen[0].result["students"]:
        scores = [
            [run["scores"] for run in whole["runs"] if run["student"] == student and set(metrics) <= set(run["scores"])]
            for whole in carried
            if isinstance(whole, Mapping)
        ]
        if most := max(scores, key=len, default=[]):
            told = dict.fromkeys(("method", "bytes", "steps", "seconds"))
            told |= {"label": "whole data", "student": student, "budget": {"kind": None, "size": None}, "sets": []}
            each = {m: _figures(summarise([s[m] for s in most]), "students") for m in metrics}
            found.append({**told, "n": {"sets": 0, "students": len(most)}, "scores": each})
    return found


def _notes(chosen: Sequence[Scored]) -> list[str]:
    notes = list(chosen[0].result.get("notes", ()))
    for name in LAST_DIGITS:
        values = sorted({str(s.result["settings"].get(name)) for s in chosen})
        if len(values) > 1 and name != "at_once":
            notes.append(f"Scored with different {name}: {', '.join(values)}; this moves last digits.")
    if len({tuple(sorted(s.result.get("seeds") or ())) for s in chosen if s.method is not None}) > 1:
        notes.append("Not all sets have the same students; differences are over those that both have.")
    return notes
