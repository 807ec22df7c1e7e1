from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.rng import numpy_stream
from limbeck.selection import SELECTIONS, check_selection, select
from limbeck.selection.herding import herding
from limbeck.selection.kcenter import kcenter


class Unasked:
    """Evidence that must not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"nobody needs {name}")


def known(**evidence):
    """Evidence that has this and nothing else."""
    return SimpleNamespace(**evidence)


def pick(name, store, count, **settings):
    return select(name, store, count, **{"by_class": True, "seed": 0, "evidence": Unasked(), **settings})


def test_random_picks_training_items_of_each_class(toy):
    picks = pick("random", toy, 5)
    assert [len(set(p)) for p in picks] == [5] * 4
    for label, rows in enumerate(picks):
        assert set(rows) <= set(toy.rows("train", label))
    other = pick("random", toy, 5, seed=1)
    assert any(not np.array_equal(a, b) for a, b in zip(picks, other, strict=True))
    longer = pick("random", toy, 7)
    assert all(np.array_equal(a, b[:5]) for a, b in zip(picks, longer, strict=True))


def test_by_pair_is_one_group_of_all(toy):
    (rows,) = pick("random", toy, 6, by_class=False)
    assert len(set(rows)) == 6
    assert set(rows) <= set(toy.rows("train"))


@pytest.mark.parametrize("block", [10, 1 << 25])
@pytest.mark.parametrize(("name", "function"), [("herding", herding), ("kcenter", kcenter)])
def test_features_are_looked_at_with_each_modality_at_unit_length(toy, monkeypatch, name, function, block):
    monkeypatch.setattr("limbeck.selection.rows.BLOCK", block)
    n = len(toy.rows("train"))
    draws = numpy_stream(0, "features")
    loud, quiet = draws.standard_normal((n, 3)) * 1000, draws.standard_normal((n, 3)) * 0.01
    evidence = known(features={"image": loud, "audio": quiet})
    picks = pick(name, toy, 4, evidence=evidence)
    train = toy.rows("train")
    for label, rows in enumerate(picks):
        mine = toy.rows("train", label)
        at = np.searchsorted(train, mine)
        joined = np.concatenate([f[at] / np.linalg.norm(f[at], axis=1, keepdims=True) for f in (loud, quiet)], 1)
        assert rows.tolist() == mine[function(torch.from_numpy(joined.astype(np.float32)), 4).numpy()].tolist()
    (pairs,) = pick(name, toy, 4, evidence=evidence, by_class=False)
    assert len(set(pairs)) == 4


def test_grand_takes_the_largest_gradients_of_each_class(toy):
    train = toy.rows("train")
    norms = numpy_stream(0, "norms").random(len(train))
    for label, rows in enumerate(pick("grand", toy, 3, evidence=known(gradient_norms=norms))):
        mine = toy.rows("train", label)
        expected = sorted(mine, key=lambda row: -norms[np.searchsorted(train, row)])[:3]
        assert rows.tolist() == expected


def test_forgetting_goes_by_class_and_its_options_reach_it(toy):
    train = toy.rows("train")
    history = np.zeros((3, len(train)), dtype=bool)
    often, never = {}, {}
    for label in range(4):
        at = np.searchsorted(train, toy.rows("train", label))
        history[:, at] = True
        often[label], never[label] = train[at[2 + label]], train[at[9]]
        history[:, at[2 + label]] = [True, False, True]
        history[:, at[9]] = False
    evidence = known(history=history)

    def first(**options):
        return [rows[0] for rows in pick("forgetting", toy, 1, evidence=evidence, options=options)]

    assert first() == first(order="most", never_learnt="most") == list(never.values())
    assert first(never_learnt="zero") == list(often.values())
    last = [rows[-2:] for rows in pick("forgetting", toy, 20, evidence=evidence, options={"order": "least"})]
    assert [r.tolist() for r in last] == [[often[c], never[c]] for c in range(4)]
    # of the 18 that were never forgotten, chance decides, and hangs on the seed
    some = [pick("forgetting", toy, 5, evidence=evidence, seed=s, options={"order": "least"}) for s in (0, 0, 1)]
    assert np.array_equal(some[0], some[1])
    assert not np.array_equal(some[0], some[2])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("grand", "compares items within a class and"),
        ("forgetting", "looks at pairs through two towers"),
        ("kmeans", "looks at pairs through two towers"),
    ],
)
def test_what_compares_items_of_a_class_takes_no_items_over_all(toy, name, says):
    with pytest.raises(ConfigError, match=rf"{name} {says}.*\n.*one of random, herding, kcenter\."):
        pick(name, toy, 1, by_class=False)


def test_an_unknown_selection(toy):
    with pytest.raises(ConfigError, match="Did you mean 'herding'"):
        pick("herdin", toy, 1)
    with pytest.raises(ConfigError, match="Did you mean 'kcenter'"):
        check_selection("kcentre", by_class=True)
    assert list(SELECTIONS) == ["random", "herding", "kcenter", "forgetting", "grand", "kmeans"]
