from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.rng import stream
from limbeck.selection import rows as module
from limbeck.selection.kcenter import kcenter


def brute_force(features, count):
    """Every distance of every pair, looked up anew for each pick."""
    mean = features.mean(0)
    first = min(range(len(features)), key=lambda x: (float((features[x] - mean).norm()), x))
    chosen = [first]
    while len(chosen) < count:
        open_rows = [x for x in range(len(features)) if x not in chosen]
        far = {x: min(float((features[x] - features[j]).norm()) for j in chosen) for x in open_rows}
        chosen.append(max(open_rows, key=lambda x: (far[x], -x)))
    return chosen


@given(st.integers(3, 14), st.integers(1, 5), st.integers(0, 999))  # two items are equally far from their mean
@settings(deadline=None)
def test_equals_brute_force(n, d, seed):
    features = torch.randn(n, d, generator=stream(seed, "f"), dtype=torch.float64)
    assert kcenter(features, n).tolist() == brute_force(features, n)


def test_begins_in_the_middle_and_goes_to_the_farthest():
    features = torch.tensor([[0.0], [10.0], [4.0], [5.5], [-3.0]])
    assert kcenter(features, 4).tolist() == [2, 4, 1, 0]  # 4 away from the mean 3.3; -3 at 7, 10 at 6, then 0 at 3


def test_equal_items_are_picked_once():
    assert sorted(kcenter(torch.zeros(4, 2), 4).tolist()) == [0, 1, 2, 3]


def test_no_choice_of_centres_covers_more_than_twice_as_well():
    """The greedy order's promise: its largest distance to a centre is at most twice the best there is."""
    features = torch.randn(12, 2, generator=stream(5, "f"), dtype=torch.float64)
    distances = torch.cdist(features, features)
    best = min(float(distances[:, list(c)].min(1).values.max()) for c in itertools.combinations(range(12), 3))
    assert float(distances[:, kcenter(features, 3)].min(1).values.max()) <= 2 * best


def test_too_many_or_none():
    with pytest.raises(DataError, match="k-center of 3 of 2"):
        kcenter(torch.zeros(2, 1), 3)
    assert kcenter(torch.zeros(2, 1), 0).tolist() == []


@pytest.mark.parametrize("block", [1, 35, 36, 10_000])
def test_blocks_change_nothing(monkeypatch, block):
    features = torch.randn(23, 6, generator=stream(1, "f")).half()
    whole = kcenter(features, 23).tolist()
    monkeypatch.setattr(module, "BLOCK", block)
    assert kcenter(features, 23).tolist() == whole == brute_force(features.double(), 23)
