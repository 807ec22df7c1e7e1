"""Real items under a budget in bytes: as many as fit in the form their media ship in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.data.shipped import Shipped, words_bytes
from limbeck.errors import ConfigError
from limbeck.rng import numpy_stream

if TYPE_CHECKING:
    from limbeck.data.pairs import Pairs

__all__ = ["pairs_within", "rows_within"]

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def rows_within(
    orders: Sequence[IntArray], shipped: Shipped, most: int, seed: int
) -> tuple[list[IntArray], dict[str, Any]]:
    """The beginnings of ``orders``, rows of each class as they were drawn, that ship in ``most`` bytes together.

    Classes take turns, so that none has two items more than another that is not used up; who is left without in the
    last turn is drawn.

    Returns:
        rows of each class; and what the set says of it: what was counted, its total and the budget.

    Raises ConfigError where not every class gets an item.
    """
    taken: list[list[int]] = [[] for _ in orders]
    left = most
    for turn in range(max(map(len, orders))):
        offers = {k: int(order[turn]) for k, order in enumerate(orders) if turn < len(order)}
        weights = {k: shipped.item(row) for k, row in offers.items()}
        whole = sum(weights.values()) <= left
        if not whole and turn == 0:
            raise _too_few(most, f"the first of each class take {sum(weights.values())}")
        order = list(offers) if whole else numpy_stream(seed, "select", "bytes").permutation(list(offers)).tolist()
        for k in order:
            if weights[k] <= left:
                taken[k].append(offers[k])
                left -= weights[k]
        if not whole:
            break
    rows = [np.asarray(each, dtype=np.int64) for each in taken]
    return rows, {"counted": shipped.counted, "total": most - left, "budget": most}


def pairs_within(pairs: Pairs, order: IntArray, most: int) -> tuple[IntArray, dict[str, Any]]:
    """The beginning of ``order``, pairs as they were drawn, that ships in ``most`` bytes; an item that is in several
    pairs is shipped once.

    Returns and raises as :func:`rows_within`.
    """
    shipped = Shipped(pairs.store, pairs.modalities)
    total, count, sent = 0, 0, set()
    for pair in order.tolist():
        row = int(pairs.items[pairs.owner[pair]])
        weight = 0 if row in sent else shipped.medium(pairs.first, row)
        weight += shipped.medium(pairs.second, row) if pairs.captions is None else words_bytes(pairs.words(pair))
        if total + weight > most:
            break
        sent.add(row)
        total, count = total + weight, count + 1
    if not count:
        raise _too_few(most, f"the first pair takes {weight}")
    return order[:count], {"counted": shipped.counted, "total": total, "budget": most}


def _too_few(most: int, needed: str) -> ConfigError:
    return ConfigError(f"{most} bytes are too few: {needed}", where="--bytes", hint="Raise --bytes.")
