"""How a study's sets are scored: the keywords of ``limbeck.evaluate``, checked before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from limbeck.config import build, seeds, settings_hash
from limbeck.errors import ConfigError, nearest

__all__ = ["Scoring", "read_scoring"]

IN_A_NAME = (
    "protocol", "students", "modalities", "fusion", "weights", "captions", "width", "pretrained", "as_published",
    "select", "split",
)  # fmt: skip
"""Keywords that the file of a result is called after."""


@dataclass(frozen=True)
class Scoring:
    """Keywords of :func:`limbeck.evaluate`; those left out are left to it. Seeds may be written ``0:5``."""

    protocol: str | None = None
    students: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | str | None = None
    whole: bool | None = None
    whole_seeds: tuple[int, ...] | str | None = None
    modalities: tuple[str, ...] | None = None
    fusion: str | None = None
    weights: str | None = None
    channels: int | None = None
    captions: str | None = None
    width: int | None = None
    pretrained: str | None = None
    as_published: bool | None = None
    select: Literal["last", "validation", "test-oracle"] | None = None
    device: str | None = None
    kernels: Literal["auto", "literal", "fused"] | None = None
    precision: Literal["fp32", "bf16"] | None = None
    threads: int | None = None
    split: str | None = None
    at_once: int | None = None

    @property
    def keywords(self) -> dict[str, Any]:
        """For :func:`limbeck.evaluate`."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("seeds", "whole_seeds"):
            if isinstance(found[name], str):
                found[name] = tuple(seeds(found[name]))
        return {name: value for name, value in found.items() if value is not None}

    @property
    def given(self) -> dict[str, Any]:
        """The same, JSON-ready."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in self.keywords.items()}

    @property
    def id(self) -> str:
        """Of the score it gives: what whole data gets beside it is another."""
        return settings_hash({k: v for k, v in self.given.items() if k not in ("whole", "whole_seeds")})


def read_scoring(value: Any) -> tuple[Scoring, ...]:
    """One way of scoring, or a list of several, each of which a run keeps in a file of its own.

    Raises ConfigError on an unknown keyword, protocol or student, naming the nearest.
    """
    told = value if isinstance(value, (list, tuple)) and value else [value or {}]
    found = []
    for one in told:
        if not isinstance(one, Mapping) or not all(isinstance(key, str) for key in one):
            raise ConfigError(f"{one!r} holds no settings by name", where="evaluate")
        words = {k: [v] if k in ("students", "modalities") and isinstance(v, str) else v for k, v in one.items()}
        words |= {k: [v] for k, v in words.items() if k.endswith("seeds") and isinstance(v, int)}
        found.append(build(Scoring, words, where="evaluate."))
        _check(found[-1])
    files = [tuple(getattr(scoring, name) for name in IN_A_NAME) for scoring in found]
    if len(set(files)) < len(files):
        raise ConfigError(
            "two of these would be kept in one file", where="evaluate", hint="Let their protocol or students differ."
        )
    return tuple(found)


def _check(scoring: Scoring) -> None:
    """Names and numbers that are wrong whatever the data."""
    from limbeck.data.meta import SPLITS
    from limbeck.encoders.frozen import FROZEN
    from limbeck.encoders.machine import choose_device
    from limbeck.encoders.towers import TOWERS
    from limbeck.evaluation.protocols import protocol
    from limbeck.evaluation.students import STUDENTS
    from limbeck.evaluation.study import refuse_repeats
    from limbeck.training import FUSIONS

    known: set[str] = {*STUDENTS, *TOWERS, *FROZEN}
    if scoring.protocol is not None:
        rules = protocol(scoring.protocol)
        known = set(TOWERS if rules.task == "pairs" else FROZEN if rules.frozen else STUDENTS)
        known |= set(FROZEN) if rules.task == "pairs" and rules.linear is not None else set()
    for name in scoring.students or ():
        if name not in known and ":" not in name:
            raise ConfigError(f"unknown student {name!r}", where="evaluate", hint=nearest(name, known))
    if scoring.device is not None:
        choose_device(scoring.device)
    refuse_repeats("evaluate.students", scoring.students or ())
    for name in ("seeds", "whole_seeds"):
        refuse_repeats(f"evaluate.{name}", scoring.keywords.get(name, ()))
    for name in ("students", "modalities", "seeds", "whole_seeds"):
        if getattr(scoring, name) is not None and not scoring.keywords.get(name):
            raise ConfigError(f"evaluate.{name} is empty", hint="Leave it out, or name some.")
    for name in ("seeds", "whole_seeds"):
        if min(scoring.keywords.get(name, (0,))) < 0:
            raise ConfigError(f"evaluate.{name} is {getattr(scoring, name)}", hint="Seeds are 0 or more.")
    if scoring.split is not None and scoring.split not in SPLITS:
        raise ConfigError(f"no split {scoring.split!r}", where="evaluate.split", hint=nearest(scoring.split, SPLITS))
    if scoring.fusion is not None and scoring.fusion not in FUSIONS:
        raise ConfigError(f"unknown fusion {scoring.fusion!r}", where="evaluate", hint=nearest(scoring.fusion, FUSIONS))
    for name in ("channels", "width", "threads", "at_once"):
        value = getattr(scoring, name)
        if value is not None and value < 1:
            raise ConfigError(f"evaluate.{name} is {value}", hint="It is 1 or more.")
