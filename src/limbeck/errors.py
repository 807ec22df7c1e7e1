"""What can go wrong, each kind once. A message says what happened, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "FormatError",
    "LimbeckError",
    "MemoryLimitError",
    "MissingDependencyError",
    "NumericsError",
    "RankError",
    "ResumeError",
    "ShapeError",
    "StudyError",
    "nearest",
]

SHOWN = 20
"""Words a message lists at most."""


class LimbeckError(Exception):
    """Base of every error a user can meet.

    Args:
        what: one sentence, what is wrong.
        where: the file, row, key or step it was found at.
        hint: what to do next.
    """

    exit_code = 2
    """What the command line exits with: 2 for the user's input, 1 for anything else."""

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        text = what if where is None else f"{where}: {what}"
        super().__init__(text if hint is None else f"{text}\n  {hint}")

    def __reduce__(self) -> tuple[object, ...]:  # keyword arguments survive the trip between processes
        return _rebuild, (type(self), self.what, self.where if self.where is None else str(self.where), self.hint)


def _rebuild(kind: type[LimbeckError], what: str, where: str | None, hint: str | None) -> LimbeckError:
    return kind(what, where=where, hint=hint)


class ConfigError(LimbeckError):
    """A setting that does not exist, has the wrong type, or does not fit the others."""


class DataError(LimbeckError):
    """Real data that is missing, broken or does not suffice."""


class FormatError(LimbeckError):
    """A store, artifact or checkpoint that is not what it claims to be: truncated, edited, hostile or too new."""


class ShapeError(LimbeckError):
    """Tensors or modalities that do not fit together."""


class NumericsError(LimbeckError):
    """A value stopped being finite. The synthetic set is as it was before the step."""

    exit_code = 1


class MemoryLimitError(LimbeckError):
    """The work does not fit the memory there is."""

    exit_code = 1


class RankError(LimbeckError):
    """One of several processes that share a run has stopped, and the others with it."""

    exit_code = 1


class ResumeError(LimbeckError):
    """A run that cannot go on as it was started."""


class StudyError(LimbeckError):
    """Cells of a study that failed, not all of them by the user's input; the others are finished."""

    exit_code = 1


class MissingDependencyError(LimbeckError):
    """An optional package that this piece of work needs."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """`` Did you mean 'x'?`` for a mistyped word, or what there is (the first twenty of more).

    Args:
        cutoff: how like a known word it must be, 0 to 1.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=cutoff)
    if close:
        return f"Did you mean {close[0]!r}?"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"Known: {', '.join(names[:SHOWN])}{more}."
