"""From the scores of seeds to a number that can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.errors import ConfigError

__all__ = ["Summary", "refuse_repeats", "summarise"]


@dataclass(frozen=True)
class Summary:
    """Args:
    mean, std: of the scores; the standard deviation with n - 1, None for one score.
    interval: 95 % interval of the mean by Student's t with n - 1 degrees, None for one score.
    """

    mean: float
    std: float | None
    n: int
    interval: tuple[float, float] | None


def summarise(scores: Sequence[float]) -> Summary:
    """Mean, spread and interval of at least one score."""
    n = len(scores)
    mean = math.fsum(scores) / n
    if n == 1:
        return Summary(mean, None, 1, None)
    std = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (n - 1))
    half = _t975(n - 1) * std / math.sqrt(n)
    return Summary(mean, std, n, (mean - half, mean + half))


def refuse_repeats(option: str, values: Sequence[int] | Sequence[str]) -> None:
    """Raises ConfigError where a value comes twice: the same student counted twice would narrow the interval."""
    repeated = sorted({str(value) for value in values if list(values).count(value) > 1})
    if repeated:
        raise ConfigError(f"{', '.join(repeated)} comes more than once", where=option, hint="Name each one once.")


def _t975(degrees: int) -> float:
    """The 97.5 % point of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
