"""Forgetting: how often a network in training unlearns an item (Toneva et al., "An empirical study of example
forgetting during deep neural network learning")."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from limbeck.errors import ConfigError, nearest

__all__ = ["NeverLearnt", "Order", "forgetting_counts", "forgetting_ranking"]

Order = Literal["most", "least"]
NeverLearnt = Literal["most", "zero"]
Array = np.ndarray[Any, Any]


def forgetting_counts(history: Array) -> tuple[Array, Array]:
    """How often each item was forgotten, and whether it was ever learnt.

    Args:
        history: (E, N) bool, whether item n was classified rightly when it was presented in epoch e, with the weights
            it met.

    Returns:
        (N,) int64 transitions from right to wrong between one presentation and the next; (N,) bool, right at least
        once.
    """
    right = np.asarray(history, dtype=bool)
    counts: Array = (right[:-1] & ~right[1:]).sum(0).astype(np.int64)
    learnt: Array = np.any(right, axis=0)
    return counts, learnt


def forgetting_ranking(history: Array, draws: np.random.Generator, *, order: Order, never_learnt: NeverLearnt) -> Array:
    """The items in the order they are picked, ties in random order: counts are small, and most items share one.

    Args:
        history: as in :func:`forgetting_counts`.
        order: "most" begins with what is forgotten most often, "least" with what is forgotten least.
        never_learnt: an item that was never right counts as forgotten more often than any other ("most", the original
            paper's infinity), or not at all ("zero", as libraries of coresets count).

    Returns:
        (N,) int64 columns of ``history``.

    Raises:
        ConfigError: unknown order or rule.
    """
    for name, value, known in (
        ("order", order, get_args(Order)), ("never_learnt", never_learnt, get_args(NeverLearnt)),
    ):  # fmt: skip
        if value not in known:
            raise ConfigError(f"unknown {name} {value!r}", where=f"method.{name}", hint=nearest(str(value), known))
    counts, learnt = forgetting_counts(history)
    if never_learnt == "most":
        counts = np.where(learnt, counts, len(history))  # more than there are transitions
    shuffled = draws.permutation(len(counts))
    keys = counts[shuffled] if order == "least" else -counts[shuffled]
    ranking: Array = shuffled[np.argsort(keys, kind="stable")]
    return ranking
