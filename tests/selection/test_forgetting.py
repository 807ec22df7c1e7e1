from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import ConfigError
from limbeck.rng import numpy_stream
from limbeck.selection.forgetting import forgetting_counts, forgetting_ranking

HAND_MADE = np.array(  # a column an item, a row an epoch
    [
        # a  b  c  d  e  f
        [1, 0, 0, 1, 1, 0],
        [1, 0, 1, 0, 1, 0],
        [1, 0, 0, 1, 0, 1],
        [1, 0, 1, 0, 0, 1],
        [1, 0, 0, 1, 0, 1],
    ],
    dtype=bool,
)
A, B, C, D, E, F = range(6)


def literal_counts(history):
    """The original paper's bookkeeping: the last outcome of each item, updated when it is presented."""
    counts, learnt = [], []
    for item in range(history.shape[1]):
        last, events, ever = False, 0, False
        for right in history[:, item].tolist():
            if last and not right:
                events += 1
            ever = ever or right
            last = right
        counts.append(events)
        learnt.append(ever)
    return counts, learnt


def test_a_hand_made_history():
    counts, learnt = forgetting_counts(HAND_MADE)
    assert counts.tolist() == [0, 0, 2, 2, 1, 0]
    assert learnt.tolist() == [True, False, True, True, True, True]


@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 999))
def test_counts_are_those_of_the_literal_bookkeeping(epochs, items, seed):
    history = numpy_stream(seed, "h").random((epochs, items)) < 0.5
    counts, learnt = forgetting_counts(history)
    assert (counts.tolist(), learnt.tolist()) == literal_counts(history)


def tiers(order, never_learnt):
    """What may stand at each place of the ranking, over many draws."""
    rankings = [
        forgetting_ranking(HAND_MADE, numpy_stream(s, "r"), order=order, never_learnt=never_learnt).tolist()
        for s in range(60)
    ]
    assert all(sorted(r) == list(range(6)) for r in rankings)
    return [sorted({r[i] for r in rankings}) for i in range(6)]


def test_order_and_rule():
    assert tiers("most", "most") == [[B], [C, D], [C, D], [E], [A, F], [A, F]]
    assert tiers("least", "most") == [[A, F], [A, F], [E], [C, D], [C, D], [B]]
    assert tiers("most", "zero") == [[C, D], [C, D], [E], [A, B, F], [A, B, F], [A, B, F]]
    assert tiers("least", "zero") == [[A, B, F], [A, B, F], [A, B, F], [E], [C, D], [C, D]]


def test_an_item_never_learnt_stands_above_one_forgotten_at_every_chance():
    history = np.array([[1, 0], [0, 0]], dtype=bool)
    ranking = forgetting_ranking(history, numpy_stream(0, "r"), order="most", never_learnt="most")
    assert ranking.tolist() == [1, 0]


def test_ties_hang_on_the_draws_alone():
    history = np.ones((3, 30), dtype=bool)
    one, again, other = (
        forgetting_ranking(history, numpy_stream(s, "r"), order="most", never_learnt="most").tolist() for s in (0, 0, 1)
    )
    assert one == again != other


@pytest.mark.parametrize(("name", "value"), [("order", "mots"), ("never_learnt", "zeros")])
def test_unknown_options(name, value):
    options = {"order": "most", "never_learnt": "most", name: value}
    with pytest.raises(ConfigError, match=rf"method\.{name}: unknown {name} '{value}'\n  Did you mean"):
        forgetting_ranking(HAND_MADE, numpy_stream(0, "r"), **options)
