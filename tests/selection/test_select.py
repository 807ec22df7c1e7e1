from __future__ import annotations

import numpy as np
import pytest

from limbeck.errors import ConfigError
from limbeck.rng import numpy_stream
from limbeck.selection import select
from limbeck.selection.herding import herding


def never():
    raise AssertionError("random selection looks at no features")


def test_random_picks_training_items_of_each_class(toy):
    picks = select("random", toy, 5, by_class=True, seed=0, features=never)
    assert [len(set(p)) for p in picks] == [5] * 4
    for label, rows in enumerate(picks):
        assert set(rows) <= set(toy.rows("train", label))
    other = select("random", toy, 5, by_class=True, seed=1, features=never)
    assert any(not np.array_equal(a, b) for a, b in zip(picks, other, strict=True))
    longer = select("random", toy, 7, by_class=True, seed=0, features=never)
    assert all(np.array_equal(a, b[:5]) for a, b in zip(picks, longer, strict=True))


def test_by_pair_is_one_group_of_all(toy):
    (rows,) = select("random", toy, 6, by_class=False, seed=0, features=never)
    assert len(set(rows)) == 6
    assert set(rows) <= set(toy.rows("train"))


@pytest.mark.parametrize("block", [10, 1 << 25])
def test_herding_looks_at_each_modality_at_unit_length(toy, monkeypatch, block):
    import torch

    monkeypatch.setattr("limbeck.selection.herding.BLOCK", block)

    n = len(toy.rows("train"))
    draws = numpy_stream(0, "features")
    loud, quiet = draws.standard_normal((n, 3)) * 1000, draws.standard_normal((n, 3)) * 0.01
    picks = select("herding", toy, 4, by_class=True, seed=0, features=lambda: {"image": loud, "audio": quiet})
    train = toy.rows("train")
    for label, rows in enumerate(picks):
        mine = toy.rows("train", label)
        at = np.searchsorted(train, mine)
        joined = np.concatenate([f[at] / np.linalg.norm(f[at], axis=1, keepdims=True) for f in (loud, quiet)], 1)
        assert rows.tolist() == mine[herding(torch.from_numpy(joined.astype(np.float32)), 4).numpy()].tolist()


def test_an_unknown_selection(toy):
    with pytest.raises(ConfigError, match="Did you mean 'herding'"):
        select("herdin", toy, 1, by_class=True, seed=0, features=never)
