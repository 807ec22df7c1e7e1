from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.rng import stream
from limbeck.selection import rows as module
from limbeck.selection.herding import herding


def brute_force(features, count):
    mean, chosen = features.mean(0), []
    for i in range(count):
        best, best_distance = None, None
        for x in range(len(features)):
            if x in chosen:
                continue
            total = sum((features[j] for j in chosen), torch.zeros_like(mean))
            distance = float(((i + 1) * mean - total - features[x]).norm())
            if best_distance is None or distance < best_distance - 1e-12:
                best, best_distance = x, distance
        chosen.append(best)
    return chosen


@given(st.integers(3, 12), st.integers(1, 5), st.integers(0, 999))  # two items are equally far from their mean
@settings(deadline=None)
def test_equals_brute_force(n, d, seed):
    features = torch.randn(n, d, generator=stream(seed, "f"), dtype=torch.float64)
    assert herding(features, n).tolist() == brute_force(features, n)


def test_the_first_pick_is_the_nearest_to_the_mean_not_the_farthest():
    features = torch.tensor([[0.0], [10.0], [4.9]])
    assert herding(features, 1).tolist() == [2]


def test_too_many():
    with pytest.raises(DataError, match="herding 3 of 2"):
        herding(torch.zeros(2, 1), 3)


class Slices:
    """Rows that are only ever read a few at a time."""

    def __init__(self, values, most):
        self.values, self.most, self.shape = values, most, values.shape

    def __getitem__(self, part):
        found = self.values[part]
        assert len(found) <= self.most
        return found


@pytest.mark.parametrize("block", [1, 35, 36, 10_000])
def test_groups_too_large_for_the_memory_are_gone_through_in_blocks(monkeypatch, block):
    features = torch.randn(23, 6, generator=stream(1, "f")).half()
    monkeypatch.setattr(module, "BLOCK", block)
    most = min(23, max(1, block // 6))
    assert herding(Slices(features, most), 23).tolist() == brute_force(features.double(), 23)
