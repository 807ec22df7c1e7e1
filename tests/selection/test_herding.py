from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.rng import stream
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


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 999))
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
