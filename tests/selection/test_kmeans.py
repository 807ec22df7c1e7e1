from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, NumericsError, ShapeError
from limbeck.rng import stream
from limbeck.selection import kmeans as module
from limbeck.selection.kmeans import Clusters, Halves, medoids, spherical_kmeans
from tests.reference import kmeans as literal


def pairs(seed, images=6, captions=14, width=3, narrow=2):
    """Images of 0 to several captions, in no order."""
    draw = stream(seed, "pairs")
    owner = torch.randint(images, (captions,), generator=draw)
    tables = [torch.randn(n, d, generator=draw, dtype=torch.float64) for n, d in ((images, width), (captions, narrow))]
    return Halves(*tables, owner)


def literal_rows(features):
    return literal.rows(features.images.tolist(), features.captions.tolist(), features.owner.tolist())


def first_of(features, clusters, seed):
    return torch.randperm(len(features), generator=stream(seed, "kmeans"))[:clusters].tolist()


@given(st.integers(0, 1000), st.integers(1, 14), st.sampled_from([1, 3, 100]))
@settings(deadline=None, max_examples=40)
def test_equals_brute_force(seed, clusters, most):
    features = pairs(seed)
    found = spherical_kmeans(features, clusters, stream(seed, "kmeans"), most=most)
    items = literal_rows(features)
    centres, labels = literal.kmeans(items, first_of(features, clusters, seed), most)
    torch.testing.assert_close(torch.cat(found.centres, 1), torch.tensor(centres, dtype=torch.float64))
    assert found.labels.tolist() == labels
    assert medoids(features, found).tolist() == literal.medoids(items, centres, labels)


@pytest.mark.parametrize("block", [1, 9, 40])
def test_blocks_of_images_change_nothing(monkeypatch, block):
    features = pairs(3)
    whole = spherical_kmeans(features, 4, stream(3, "kmeans"))
    monkeypatch.setattr(module, "BLOCK", block)
    parts = list(features.blocks(4))
    assert len(parts) > 1
    assert sorted(torch.cat([rows for _, rows in parts]).tolist()) == list(range(len(features)))
    found = spherical_kmeans(features, 4, stream(3, "kmeans"))
    assert torch.equal(found.labels, whole.labels)
    for a, b in zip(found.centres, whole.centres, strict=True):
        torch.testing.assert_close(a, b)


def test_it_finds_bundles_whatever_their_lengths():
    ways = torch.eye(3)
    owner = torch.arange(3).repeat_interleave(4)
    draw = stream(0, "lengths")
    captions = ways[owner] + 0.05 * torch.randn(12, 3, generator=draw)
    images = ways * torch.tensor([[0.1], [1.0], [50.0]])
    features = Halves(images, captions * torch.rand(12, 1, generator=draw) * 9, owner)
    seeds = [spherical_kmeans(features, 3, stream(s, "kmeans")).labels for s in range(20)]
    bundles = [labels for labels in seeds if len(labels.unique()) == 3 and bool((labels[owner * 4] == labels).all())]
    assert len(bundles) >= 3  # from three different bundles it starts in 2 of 7 draws


def test_an_empty_cluster_takes_what_is_left():
    features = Halves(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.ones(3, 1), torch.tensor([0, 0, 1]))
    zero = (torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0], [0.0], [0.0]]))
    assert medoids(features, Clusters(zero, torch.zeros(3, dtype=torch.int64), 1)).tolist() == [0, 1, 2]


def test_the_two_of_a_cluster_are_equally_like_its_mean():
    """Rounding must not choose between them: both precisions take the lower one."""
    for seed in range(20):
        features = pairs(seed, images=2, captions=2)
        for dtype in (torch.float32, torch.float64):
            rounded = Halves(features.images.to(dtype), features.captions.to(dtype), features.owner)
            found = spherical_kmeans(rounded, 1, stream(seed, "kmeans"))
            assert medoids(rounded, found).tolist() == [0]


def test_as_many_clusters_as_items_take_each():
    features = pairs(1)
    found = spherical_kmeans(features, len(features), stream(1, "kmeans"))
    assert sorted(medoids(features, found).tolist()) == list(range(len(features)))


def test_one_half_may_decide_alone():
    both = pairs(2)
    alone = Halves(both.images[:, :0], both.captions, both.owner)
    joined = Halves(both.captions, both.captions[:, :0], torch.arange(len(both)))
    one, two = (spherical_kmeans(x, 4, stream(2, "kmeans")) for x in (alone, joined))
    assert torch.equal(one.labels, two.labels)
    torch.testing.assert_close(alone.units[1].norm(dim=1), torch.ones(len(both), dtype=torch.float64))


def test_rounds_stop_where_centres_do():
    features = pairs(4)
    free = spherical_kmeans(features, 3, stream(4, "kmeans"))
    assert 1 <= free.rounds < 100
    assert spherical_kmeans(features, 3, stream(4, "kmeans"), most=1).rounds == 1


def test_what_does_not_fit_is_an_error():
    features = pairs(0)
    for count in (0, 15):
        with pytest.raises(DataError, match=f"{count} clusters of 14"):
            spherical_kmeans(features, count, stream(0, "kmeans"))
    with pytest.raises(ShapeError, match="owners go from 0 to 6"):
        Halves(features.images, features.captions, torch.arange(14) // 2)
    with pytest.raises(ShapeError, match="must be"):
        Halves(features.images, features.captions, features.owner[:3])
    with pytest.raises(ShapeError, match="no item"):
        Halves(features.images, features.captions[:0], features.owner[:0])
    with pytest.raises(NumericsError, match="not finite"):
        Halves(features.images * float("nan"), features.captions, features.owner)
