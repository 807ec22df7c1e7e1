"""Rows of the real set, class by class or over all items, or its pairs, by any of the named selections."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import ConfigError, DataError, nearest
from limbeck.rng import numpy_stream
from limbeck.selection.evidence import Array, Evidence, Group, PairEvidence
from limbeck.selection.pairs import (
    Pairwise,
    forgetting_pairs,
    herding_pairs,
    kcenter_pairs,
    kmeans_pairs,
    random_pairs,
)

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.selection.forgetting import NeverLearnt, Order

__all__ = ["SELECTIONS", "Selection", "check_selection", "members", "select", "select_pairs"]


@dataclass(frozen=True)
class Selection:
    """A way to choose items, pairs, or both.

    Args:
        choose: (group, count, **options) -> which of the group's items, in the order picked.
        over_all: whether ``choose`` works on items of all classes together too.
        pairs: the same of pairs that two towers look at; None where it knows none.
    """

    choose: Callable[..., Array] | None
    over_all: bool = True
    pairs: Callable[..., Array] | None = None


def members(store: PairedStore, by_class: bool) -> list[Array]:
    """The training rows items are chosen from: one array a class, or one of all pairs."""
    if not by_class:
        return [store.rows("train")]
    return [store.rows("train", label) for label in range(len(store.classes))]


def check_selection(name: str, *, by_class: bool, pairwise: bool = False) -> None:
    """Raises ConfigError where there is no selection ``name``, or none by class, by pairs or over all items.

    Args:
        pairwise: by pairs of two modalities, without a factor: two towers look at them. Of other budgets in pairs items
            are chosen, over all classes.
    """
    if name not in SELECTIONS:
        raise ConfigError(f"unknown selection {name!r}", where="--init", hint=nearest(name, SELECTIONS))
    fit = [n for n, s in SELECTIONS.items() if _fits(s, by_class, pairwise)]
    if name in fit:
        return
    if by_class:
        what, instead = "chooses pairs over all and cannot choose items of a class", "--pairs"
    elif pairwise or SELECTIONS[name].pairs is None:
        what, instead = "compares items within a class and cannot choose pairs over all", "--per-class"
    else:
        what = "looks at pairs through two towers, which takes two modalities and no factor"
        instead = "two --modalities and --factor 1"
    raise ConfigError(f"{name} {what}", where="--init", hint=f"Use {instead}, or one of {', '.join(fit)}.")


def _fits(selection: Selection, by_class: bool, pairwise: bool) -> bool:
    if pairwise and not by_class:
        return selection.pairs is not None
    return selection.choose is not None and (by_class or selection.over_all)


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
    """``count`` rows of each class (or of all items), in the order picked.

    Args:
        name: of a selection; SELECTIONS lists them.
        seed: of the draw, where there is one.
        evidence: what trained networks say of the items, for the selections that ask them.
        options: of the selection, where it has any: what its method's ``selection_options`` gives.

    Raises:
        ConfigError: unknown selection, or one that cannot work so. DataError: too few items.
    """
    check_selection(name, by_class=by_class)
    train, choose = store.rows("train"), SELECTIONS[name].choose
    assert choose is not None
    picks = []
    for i, rows in enumerate(members(store, by_class)):
        group = Group(i, np.searchsorted(train, rows), seed, evidence)
        picks.append(rows[choose(group, count, **_own(choose, options))])
    return picks


def select_pairs(
    name: str,
    pairs: int,
    count: int,
    *,
    seed: int,
    evidence: PairEvidence,
    options: Mapping[str, Any] | None = None,
) -> Array:
    """``count`` of ``pairs`` pairs, (count,) int64 in the order picked; none twice.

    Args:
        evidence: what two towers say of the pairs, for the selections that ask them.
        name, seed, options: as in :func:`select`.

    Raises:
        ConfigError: unknown selection, or one that knows no pairs. DataError: too few pairs.
    """
    check_selection(name, by_class=False, pairwise=True)
    choose = SELECTIONS[name].pairs
    assert choose is not None
    if count > pairs:
        raise DataError(f"{count} of {pairs} pairs", hint="Lower --pairs.")
    return choose(Pairwise(pairs, seed, evidence), count, **_own(choose, options))


def _own(choose: Callable[..., Array], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that this selection has: a method's are of the one it begins with unless it is told another.

    Raises ConfigError on an option that none has.
    """
    every = [c for s in SELECTIONS.values() for c in (s.choose, s.pairs) if c is not None]
    known = {name for c in every for name in inspect.signature(c).parameters}
    for name in options or {}:
        if name not in known:
            raise ConfigError(f"no selection has an option {name!r}", hint=nearest(name, known))
    own = inspect.signature(choose).parameters
    return {name: value for name, value in (options or {}).items() if name in own}


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
    "random": Selection(_random, pairs=random_pairs),
    "herding": Selection(_herding, pairs=herding_pairs),
    "kcenter": Selection(_kcenter, pairs=kcenter_pairs),
    "forgetting": Selection(_forgetting, over_all=False, pairs=forgetting_pairs),
    "grand": Selection(_grand, over_all=False),
    "kmeans": Selection(None, pairs=kmeans_pairs),
}
