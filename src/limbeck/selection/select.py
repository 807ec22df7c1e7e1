"""Rows of the real set, class by class or over all pairs, by any of the named selections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import ConfigError, nearest
from limbeck.rng import numpy_stream
from limbeck.selection.evidence import Array, Evidence, Group

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.selection.forgetting import NeverLearnt, Order

__all__ = ["SELECTIONS", "Selection", "check_selection", "members", "select"]


@dataclass(frozen=True)
class Selection:
    """A way to choose items.

    Args:
        choose: (group, count, **options) -> which of the group's items, in the order picked.
        by: the budgets it works with, as ``Method.by``.
    """

    choose: Callable[..., Array]
    by: tuple[str, ...] = ("class", "pairs")


def members(store: PairedStore, by_class: bool) -> list[Array]:
    """The training rows items are chosen from: one array a class, or one of all pairs."""
    if not by_class:
        return [store.rows("train")]
    return [store.rows("train", label) for label in range(len(store.classes))]


def check_selection(name: str, *, by_class: bool) -> None:
    """Raises ConfigError where there is no selection ``name``, or none by class or by pairs."""
    if name not in SELECTIONS:
        raise ConfigError(f"unknown selection {name!r}", where="--init", hint=nearest(name, SELECTIONS))
    wanted = "class" if by_class else "pairs"
    if wanted not in SELECTIONS[name].by:
        fit = ", ".join(n for n, s in SELECTIONS.items() if wanted in s.by)
        raise ConfigError(
            f"{name} compares items within a class and cannot choose pairs over all",
            where="--init",
            hint=f"Use --per-class, or one of {fit}.",
        )


def select(
    name: str,
    store: PairedStore,
    count: int,
    *,
    by_class: bool,
    seed: int,
    evidence: Evidence,
    options: Mapping[str, Any] | None = None,
) -> list[Array]:
    """``count`` rows of each class (or of all pairs), in the order picked.

    Args:
        name: of a selection; SELECTIONS lists them.
        seed: of the draw, where there is one.
        evidence: what trained networks say of the items, for the selections that ask them.
        options: of the selection, where it has any: what its method's ``selection_options`` gives.

    Raises:
        ConfigError: unknown selection, or one that cannot work by pairs. DataError: too few items.
    """
    check_selection(name, by_class=by_class)
    train, choose = store.rows("train"), SELECTIONS[name].choose
    picks = []
    for i, rows in enumerate(members(store, by_class)):
        group = Group(i, np.searchsorted(train, rows), seed, evidence)
        picks.append(rows[choose(group, count, **(options or {}))])
    return picks


def _random(group: Group, count: int) -> Array:
    drawn: Array = numpy_stream(group.seed, "select", group.index).permutation(len(group.at))[:count]
    return drawn


def _herding(group: Group, count: int) -> Array:
    from limbeck.selection.herding import herding

    return herding(group.joined(), count).numpy()


def _kcenter(group: Group, count: int) -> Array:
    from limbeck.selection.kcenter import kcenter

    return kcenter(group.joined(), count).numpy()


def _forgetting(group: Group, count: int, *, order: Order = "most", never_learnt: NeverLearnt = "most") -> Array:
    from limbeck.selection.forgetting import forgetting_ranking

    draws = numpy_stream(group.seed, "select", "forgetting", group.index)
    history = group.evidence.history[:, group.at]
    ranking: Array = forgetting_ranking(history, draws, order=order, never_learnt=never_learnt)[:count]
    return ranking


def _grand(group: Group, count: int) -> Array:
    from limbeck.selection.grand import grand_ranking

    ranking: Array = grand_ranking(group.evidence.gradient_norms[group.at])[:count]
    return ranking


SELECTIONS: dict[str, Selection] = {
    "random": Selection(_random),
    "herding": Selection(_herding),
    "kcenter": Selection(_kcenter),
    "forgetting": Selection(_forgetting, by=("class",)),
    "grand": Selection(_grand, by=("class",)),
}
