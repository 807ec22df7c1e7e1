"""Coresets of pairs: each is its literal twin, several captions an image."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ConfigError, DataError
from limbeck.rng import numpy_stream, stream
from limbeck.selection import SELECTIONS, check_selection, select_pairs
from limbeck.selection import rows as blocks
from limbeck.selection.kmeans import Halves
from limbeck.selection.pair_points import PairPoints
from tests.reference import coresets as literal
from tests.reference import kmeans as clusters


def halves(seed, images=5, captions=13, width=3):
    draw = stream(seed, "halves")
    owner = torch.randint(images, (captions,), generator=draw)
    tables = [torch.randn(n, width, generator=draw, dtype=torch.float64) for n in (images, captions)]
    return Halves(*tables, owner)


def known(features=None, history=None):
    """Evidence that has this and nothing else; which models it was asked for."""
    asked = []
    return SimpleNamespace(features=lambda model: (asked.append(model), features)[1], history=history, asked=asked)


def pick(name, count, pairs=13, seed=0, **settings):
    return select_pairs(name, pairs, count, **{"seed": seed, "evidence": known(), **settings}).tolist()


def lists(features):
    return features.images.tolist(), features.captions.tolist(), features.owner.tolist()


@given(st.integers(0, 1000), st.integers(1, 13))
@settings(deadline=None, max_examples=30)
def test_herding_is_brute_force_on_both_halves_side_by_side(seed, count):
    features = halves(seed)
    found = pick("herding", count, evidence=(seen := known(features)))
    assert found == literal.herding(*lists(features), count)
    assert seen.asked == ["warm-up"]


@given(st.integers(0, 1000), st.integers(1, 13))
@settings(deadline=None, max_examples=30)
def test_kcenter_is_brute_force_on_their_sum_from_a_pair_that_is_drawn(seed, count):
    features = halves(seed)
    found = pick("kcenter", count, seed=seed, evidence=known(features))
    assert found == literal.kcenter(*lists(features), count, found[0])
    assert found == pick("kcenter", count, seed=seed, evidence=known(features))


def test_kcenter_begins_anywhere():
    features = halves(1)
    firsts = [pick("kcenter", 1, seed=s, evidence=known(features))[0] for s in range(130)]
    assert set(firsts) == set(range(13))


@pytest.mark.parametrize("cluster", ["joint", "first", "second"])
@pytest.mark.parametrize("count", [1, 4, 13])
def test_kmeans_is_brute_force_on_both_halves_or_one(cluster, count):
    for seed in range(8):
        features = halves(seed)
        found = pick("kmeans", count, seed=seed, evidence=known(features), options={"cluster": cluster})
        images, captions, owner = lists(features)
        rows = [
            clusters.unit({"joint": [*v, *t], "first": v, "second": t}[cluster])
            for v, t in literal.halves(images, captions, owner)
        ]
        first = torch.randperm(13, generator=stream(seed, "select", "kmeans"))[:count].tolist()
        assert found == clusters.medoids(rows, *clusters.kmeans(rows, first))


def test_kmeans_looks_through_the_network_it_is_told():
    for options, model in (({}, "warm-up"), ({"model": "merged"}, "merged"), ({"model": "pretrained"}, "pretrained")):
        pick("kmeans", 3, evidence=(seen := known(halves(0))), options=options)
        assert seen.asked == [model]


def test_forgetting_is_brute_force_in_both_orders():
    history = numpy_stream(0, "history").random((6, 40)) < 0.5
    history[:, [3, 17]] = False
    counts = literal.forgotten(history.tolist())
    evidence = known(history=history)
    most = pick("forgetting", 40, 40, evidence=evidence)
    assert set(most[:2]) == {3, 17}
    assert [counts[i] for i in most] == sorted(counts, reverse=True)
    least = pick("forgetting", 40, 40, evidence=evidence, options={"order": "least"})
    assert [counts[i] for i in least] == sorted(counts)
    zero = pick("forgetting", 40, 40, evidence=evidence, options={"order": "least", "never_learnt": "zero"})
    assert {3, 17} <= {i for i in zero if (counts[i] if counts[i] < 6 else 0) == 0}
    assert zero.index(3) < 40 - 2
    assert most == pick("forgetting", 40, 40, evidence=evidence)
    assert most != pick("forgetting", 40, 40, evidence=evidence, seed=1)  # ties


def test_random_draws_pairs():
    drawn = pick("random", 6, 13)
    assert len(set(drawn)) == 6
    assert drawn == pick("random", 13, 13)[:6]
    assert drawn != pick("random", 6, 13, seed=1)


@pytest.mark.parametrize("name", ["random", "herding", "kcenter", "forgetting", "kmeans"])
def test_no_pair_twice_but_an_image_with_several_captions(name):
    features = halves(2)
    evidence = known(features, numpy_stream(0, "history").random((4, 13)) < 0.5)
    found = pick(name, 13, evidence=evidence)
    assert sorted(found) == list(range(13))
    assert len({int(features.owner[i]) for i in found}) <= 5


@pytest.mark.parametrize("name", ["herding", "kcenter"])
@pytest.mark.parametrize("block", [1, 9, 20])
def test_blocks_change_no_choice(monkeypatch, name, block):
    features = halves(5, images=9, captions=31)
    whole = pick(name, 31, 31, evidence=known(features))
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr("limbeck.selection.pair_points.BLOCK", block)
    assert pick(name, 31, 31, evidence=known(features)) == whole


def test_points_are_the_rows_that_are_never_there():
    features = halves(7)
    for way in ("joined", "added"):
        v, t = (
            torch.tensor(x, dtype=torch.float64) for x in zip(*literal.halves(*lists(features)), strict=True)
        )  # fmt: skip
        rows = torch.cat([v, t], 1) if way == "joined" else v + t
        points, point = PairPoints(features, way), torch.randn(rows.shape[1], dtype=torch.float64, generator=stream(0))
        torch.testing.assert_close(points.squares(), rows.square().sum(1))
        torch.testing.assert_close(points.along(point), rows @ point)
        torch.testing.assert_close(points.squared_distances(point), (rows - point).square().sum(1))
        torch.testing.assert_close(points.mean(), rows.mean(0))
        torch.testing.assert_close(torch.stack([points.row(i) for i in range(13)]), rows)


def test_lengths_do_not_matter():
    features = halves(3)
    scale = torch.rand(13, 1, generator=stream(0), dtype=torch.float64) + 0.1
    loud = Halves(features.images * 100, features.captions * scale, features.owner)
    for name in ("herding", "kcenter", "kmeans"):
        assert pick(name, 6, evidence=known(features)) == pick(name, 6, evidence=known(loud))


def test_which_selection_takes_which_budget():
    ways = {"by_class": True}, {"by_class": False, "pairwise": True}, {"by_class": False}
    for name, way in itertools.product(SELECTIONS, ways):
        fits = way in {
            "grand": ways[:1], "kmeans": ways[1:2], "forgetting": ways[:2],
        }.get(name, ways)  # fmt: skip
        if fits:
            check_selection(name, **way)
        else:
            with pytest.raises(ConfigError, match=f"--init: {name} "):
                check_selection(name, **way)
    with pytest.raises(ConfigError, match=r"grand compares items within a class.*\n.*--per-class, .*forgetting, kmean"):
        pick("grand", 3)
    with pytest.raises(ConfigError, match=r"kmeans chooses pairs over all.*\n.*--pairs"):
        check_selection("kmeans", by_class=True)
    with pytest.raises(ConfigError, match=r"forgetting looks at pairs through two towers.*\n.*--factor 1, .*kcenter"):
        check_selection("forgetting", by_class=False)


def test_what_cannot_be_asked_of_pairs():
    with pytest.raises(DataError, match="14 of 13 pairs"):
        pick("random", 14)
    with pytest.raises(ConfigError, match=r"unknown cluster 'frist'[\s\S]*'first'"):
        pick("kmeans", 2, evidence=known(halves(0)), options={"cluster": "frist"})
    with pytest.raises(ConfigError, match=r"unknown model 'merge'[\s\S]*'merged'"):
        pick("kmeans", 2, evidence=known(halves(0)), options={"model": "merge"})
    with pytest.raises(ConfigError, match=r"unknown order 'worst'"):
        pick("forgetting", 2, evidence=known(history=np.ones((2, 13), bool)), options={"order": "worst"})
    with pytest.raises(ConfigError, match="no selection has an option 'clusters'"):
        pick("random", 4, options={"clusters": "first"})
    # a method's options are of its own choice: another, that a run names, has none of them
    assert pick("random", 4, options={"model": "merged", "cluster": "joint"}) == pick("random", 4)
