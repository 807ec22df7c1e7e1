from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ConfigError, ShapeError
from limbeck.rng import stream
from limbeck.synthetic.similarity import Factors, Similarity, similarity
from tests.reference import similarity as literal


def factors(seed, items, rank):
    draw = stream(seed, "factors")
    shapes = ((items,), (items, rank), (items, rank))
    return Factors(*(torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes))


def test_it_begins_as_the_identity():
    start = Factors.identity(7, 3, stream(0, "similarity"))
    assert torch.equal(similarity(*start, alpha=5.0), torch.eye(7))
    assert float(start.left.abs().min()) > 0  # else R would never move
    assert torch.equal(start.left, Factors.identity(7, 3, stream(0, "similarity")).left)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 4), st.floats(0.01, 4.0))
@settings(deadline=None)
def test_it_is_the_printed_equation(seed, items, rank, alpha):
    parts = factors(seed, items, rank)
    printed = literal.similarity(*(x.tolist() for x in parts), alpha)
    torch.testing.assert_close(similarity(*parts, alpha=alpha), torch.tensor(printed, dtype=torch.float64))


@given(st.integers(0, 1000), st.permutations(range(6)), st.integers(1, 6))
@settings(deadline=None)
def test_rows_of_a_batch_are_rows_and_columns_of_the_whole(seed, order, size):
    parts, chosen = factors(seed, 6, 2), torch.tensor(order[:size])
    whole = similarity(*parts, alpha=3.0)
    torch.testing.assert_close(similarity(*parts.rows(chosen), alpha=3.0), whole[chosen][:, chosen])


def test_all_three_are_learnt():
    parts = [x.requires_grad_() for x in factors(0, 4, 2)]
    assert torch.autograd.gradcheck(lambda w, le, r: similarity(w, le, r, alpha=0.7), parts)


def test_the_published_count_of_numbers():
    assert sum(x.numel() for x in Factors.identity(99, 10, stream(0, "similarity"))) == 2079


def test_what_does_not_fit_is_an_error():
    weight, left, right = factors(0, 4, 2)
    with pytest.raises(ShapeError, match="must be"):
        similarity(weight, left, right[:3], alpha=1.0)
    with pytest.raises(ShapeError, match="must be"):
        similarity(weight[:3], left, right, alpha=1.0)
    with pytest.raises(ConfigError, match="rank 0"):
        Factors.identity(3, 0, stream(0, "similarity"))


def test_it_is_imported_without_torch():
    code = "import sys, limbeck.synthetic.similarity; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.integers(0, 1000), st.permutations(range(6)), st.integers(1, 6))
@settings(deadline=None)
def test_a_similarity_gives_rows_of_itself(seed, order, size):
    kept = Similarity(factors(seed, 6, 2), 3.0)
    assert (len(kept), kept.bytes) == (6, 8 * 6 * 5)
    chosen = torch.tensor(order[:size])
    torch.testing.assert_close(kept.rows(chosen), kept.full()[chosen][:, chosen])


def test_a_copy_elsewhere_has_no_graph():
    parts = Factors(*(x.requires_grad_() for x in factors(0, 4, 2)))
    kept = Similarity(parts, 1.0)
    assert kept.rows(torch.arange(3)).requires_grad
    copy = kept.to("cpu")
    assert not copy.full().requires_grad
    assert torch.equal(copy.full(), kept.full().detach())


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), 10**400, True, "1", None])
def test_an_alpha_that_is_no_number_is_refused(alpha):
    with pytest.raises(ConfigError, match="alpha"):
        Similarity(factors(0, 4, 2), alpha)


def test_factors_that_do_not_fit_are_refused():
    weight, left, right = factors(0, 4, 2)
    with pytest.raises(ShapeError, match="must be"):
        Similarity(Factors(weight[:3], left, right), 1.0)
