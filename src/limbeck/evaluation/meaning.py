"""Which scores may stand beside each other: those that mean the same, or none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from limbeck.errors import ConfigError, nearest
from limbeck.evaluation.scored import Scored, meaning

__all__ = ["in_words", "one_meaning", "refuse_twins"]

SHOWN = 4
"""Differences a message lists at most."""


def one_meaning(
    found: Sequence[tuple[Path, list[Scored]]], protocol: str | None = None, as_published: bool = False
) -> tuple[list[Scored], list[dict[str, str]]]:
    """One score of each path, all of one meaning; and the paths that have none, with the reason.

    Where paths hold several scores, it is the one that all of them have.

    Args:
        found: the scores of each path.
        protocol: which to take; any by default.
        as_published: take scores with what sets learnt beside their items; else those without, where a path has both.

    Raises ConfigError where there is none, more than one, or no score at all.
    """
    known = {s.result["protocol"] for _, scores in found for s in scores}
    if protocol is not None and protocol not in known:
        raise ConfigError(f"no run has a score under {protocol!r}", where="--protocol", hint=nearest(protocol, known))
    left_out, kept = [], []
    for path, scores in found:
        fitting = [s for s in scores if protocol in (None, s.result["protocol"])]
        wanted = [s for s in fitting if bool(s.result.get("as_published")) == as_published]
        fitting = wanted if wanted or as_published else fitting
        if fitting:
            kept.append({_key(s): s for s in fitting})
        else:
            kind = " ".join(filter(None, (f"under {protocol}" if protocol else "", "as published" * as_published)))
            why = f"no score {kind}" if scores else "not scored yet"
            left_out.append({"path": str(path), "why": why})
    if not kept:
        raise ConfigError("no score to compare", hint="limbeck evaluate RUN makes one.")
    common = set(kept[0]).intersection(*kept[1:])
    if len(common) == 1:
        (key,) = common
        return [scores[key] for scores in kept], left_out
    raise _several(kept[0], common) if common else _mixed(kept)


def refuse_twins(sets: Sequence[Scored]) -> None:
    """Raises ConfigError where a set comes twice: counted twice it would narrow the interval."""
    for one, other in combinations(sets, 2):
        if (one.run_hash is not None and one.run_hash == other.run_hash) or one.seed == other.seed:
            raise ConfigError(f"{one.where} and {other.where} are scores of the same set", hint="Name each set once.")


def _key(scored: Scored) -> str:
    return json.dumps(meaning(scored.result), sort_keys=True)


def _several(scores: Mapping[str, Scored], common: Iterable[str]) -> ConfigError:
    one, other, *_ = (scores[key] for key in sorted(common))
    return ConfigError(
        f"the runs hold {len(set(common))} kinds of scores: {one.where.name} and {other.where.name} differ in "
        f"{_differences(one, other)}",
        hint=_way_out(one, other),
    )


def _mixed(kept: Sequence[Mapping[str, Scored]]) -> ConfigError:
    """Names two runs without a common score; of their scores the two that are most alike."""
    for one, other in combinations(kept, 2):
        if not set(one) & set(other):
            pairs = [(a, b) for a in one.values() for b in other.values()]
            a, b = min(pairs, key=lambda pair: len(_unequal(*pair)))
            what = f"{a.run} and {b.run} do not go into one table: {_differences(a, b)}"
            return ConfigError(what, hint=_way_out(a, b))
    return ConfigError("no one kind of score is held by all of these runs", hint="Name files: RUN/results/*.json.")


def _unequal(one: Scored, other: Scored) -> dict[str, tuple[Any, Any]]:
    a, b = meaning(one.result), meaning(other.result)
    names = dict.fromkeys([*a, *b])
    if a.get("as_published") != b.get("as_published"):
        names = {"as_published": None}  # which the others follow from
    return {n: (a.get(n, "not told"), b.get(n, "not told")) for n in names if a.get(n) != b.get(n)}


def _differences(one: Scored, other: Scored) -> str:
    found = [f"{name} {in_words(a)} against {in_words(b)}" for name, (a, b) in _unequal(one, other).items()]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "; ".join([*found[:SHOWN], *more])


def in_words(value: Any) -> str:
    """A setting's value, short."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:12] if len(text) == 64 else text  # a hash


def _way_out(one: Scored, other: Scored) -> str:
    if one.result.get("as_published") != other.result.get("as_published"):
        return "Score both without --as-published, or both with it."
    if one.result["protocol"] != other.result["protocol"]:
        return "Say --protocol NAME to take one of several scores that runs hold, or score both under one."
    return "Name files (RUN/results/*.json) where a run holds several scores, or score both runs alike."
