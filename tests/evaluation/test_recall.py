from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, NumericsError, ShapeError
from limbeck.evaluation import recall as module
from limbeck.evaluation.recall import places, recall
from limbeck.rng import stream
from tests.reference import recall as literal


def owners(seed, images, least, most):
    """Each image has ``least`` to ``most`` captions, and they stand in no order."""
    draw = stream(seed, "owners")
    counts = torch.randint(least, most + 1, (images,), generator=draw)
    owner = torch.arange(images).repeat_interleave(counts)
    return owner[torch.randperm(len(owner), generator=draw)]


def embedded(seed, owner, width=4):
    """Captions somewhat like their images."""
    draw = stream(seed, "embedded")
    images = torch.randn(int(owner.max()) + 1, width, generator=draw, dtype=torch.float64)
    return images, images[owner] + torch.randn(len(owner), width, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize(("least", "most"), [(5, 5), (6, 6), (5, 6), (1, 7)])
@given(seed=st.integers(0, 1000), count=st.integers(1, 25))
@settings(deadline=None, max_examples=25)
def test_equals_a_sort_for_each_row(least, most, seed, count):
    owner = owners(seed, count, least, most)
    images, captions = embedded(seed, owner)
    unit = [x / x.norm(dim=1, keepdim=True) for x in (images, captions)]
    scores = unit[0] @ unit[1].T
    assert recall(images, captions, owner) == pytest.approx(literal.sorted_recall(scores.numpy(), owner.numpy()))


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(deadline=None)
def test_places_with_many_ties_are_counts_of_what_is_above(seed, images):
    owner = owners(seed, images, 1, 3)
    scores = torch.randint(3, (images, len(owner)), generator=stream(seed, "scores")).float()
    found = [x.tolist() for x in places(scores, owner)]
    assert found == list(literal.places(scores.tolist(), owner.tolist()))


def test_a_case_by_hand():
    owner = torch.tensor([0, 0, 1])
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.3, 0.4]])
    assert [x.tolist() for x in places(scores, owner)] == [[0, 1, 1], [0, 0]]
    found = recall(torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]), owner, cuts=(1, 2))
    assert found == pytest.approx({"IR@1": 200 / 3, "IR@2": 100, "TR@1": 50, "TR@2": 100, "Mean": 950 / 12})


def test_ties_favour_the_model():
    """All scores equal is all right: stated in the documentation, and why scores must be looked at."""
    owner = torch.arange(4).repeat_interleave(5)
    assert recall(torch.ones(4, 2), torch.ones(20, 2), owner)["Mean"] == 100


def test_blocks_change_nothing(monkeypatch):
    owner = owners(0, 23, 5, 6)
    images, captions = embedded(0, owner)
    scores = images @ captions.T
    whole = places(scores, owner)
    monkeypatch.setattr(module, "BLOCK", 4 * len(owner) + 1)
    assert all(torch.equal(a, b) for a, b in zip(places(scores, owner), whole, strict=True))


def test_chance_is_what_counting_says():
    """Random scores: an image of n captions among C finds one at first with n / C."""
    owner = torch.arange(200).repeat_interleave(5)
    found = recall(
        torch.randn(200, 64, generator=stream(0, "a")), torch.randn(1000, 64, generator=stream(0, "b")), owner
    )
    assert found["IR@10"] == pytest.approx(5, abs=2.5)
    assert found["TR@10"] == pytest.approx(100 * (1 - 0.99**5), abs=5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_not_right(value):
    scores, owner = torch.zeros(3, 3), torch.arange(3)
    scores[1, 2] = value
    with pytest.raises(NumericsError, match="not finite"):
        places(scores, owner)


def test_what_does_not_fit_is_an_error():
    images, owner = torch.eye(3), torch.arange(3)
    with pytest.raises(DataError, match="no caption"):
        recall(images, images, torch.tensor([0, 1, 1]))
    with pytest.raises(DataError, match="not there"):
        recall(images, images, torch.tensor([0, 1, 3]))
    with pytest.raises(DataError, match="none is there"):
        recall(images, images[:0], owner[:0])
    with pytest.raises(ShapeError, match="owners"):
        recall(images, images, owner[:2])
    with pytest.raises(ShapeError, match="cannot be compared"):
        recall(images, images[:, :2], owner)
