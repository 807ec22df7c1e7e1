from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ConfigError, NumericsError, ShapeError
from limbeck.losses import kernel
from limbeck.losses.kernel import median_distance, mmd
from limbeck.rng import stream
from tests.reference import characteristic_literal as literal


def rows(seed, n, d=3, dtype=torch.float64):
    return torch.randn(n, d, generator=stream(seed, "rows"), dtype=dtype)


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(3, 6), st.integers(1, 5)), min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from([None, 0.7, (0.5, 2.0)]),
)
@settings(deadline=None, max_examples=40)
def test_the_printed_equation_class_by_class(seed, counts, d, bandwidths):
    n, m = zip(*counts, strict=True)
    x, y = rows(seed, sum(n), d), rows(seed + 1, sum(m), d)
    given = [bandwidths] if isinstance(bandwidths, float) else bandwidths
    expected = 0.0
    for a, b in zip(x.split(n), y.split(m), strict=True):
        sigmas = given or [literal.median_distance(a.tolist())]
        expected += literal.mmd(a.tolist(), b.tolist(), sigmas)
    assert mmd(x, n, y, m, bandwidths).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradient():
    x, y = rows(0, 6).requires_grad_(), rows(1, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: mmd(x, (2, 4), y, (1, 3), (0.5, 2.0)), (x, y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_sets_are_at_zero_with_gradient_zero(dtype):
    x = rows(0, 6, 16, dtype)
    y = x.clone().requires_grad_()
    found = mmd(x, (2, 4), y, (2, 4))
    (slope,) = torch.autograd.grad(found, y)
    assert found.dtype == dtype
    assert abs(found.item()) < 1e-12
    assert slope.abs().max() < 1e-12
    assert mmd(x, (6,), x.flip(0), (6,)).abs() < 1e-12


def test_parts_of_a_large_class_add_up(monkeypatch):
    x, y = rows(0, 50), rows(1, 9)
    whole = mmd(x, (50,), y, (9,)).item()
    monkeypatch.setattr(kernel, "CHUNK", 7)
    assert mmd(x, (50,), y, (9,)).item() == pytest.approx(whole, rel=1e-12)


def test_the_median_of_a_large_class_is_that_of_some(monkeypatch):
    x = rows(0, 25)
    monkeypatch.setattr(kernel, "MEDIAN_OF", 10)
    assert median_distance(x) == pytest.approx(literal.median_distance(x[::3].tolist()))


def test_what_does_not_fit_is_an_error():
    x, y = rows(0, 4), rows(1, 2)
    with pytest.raises(ShapeError, match="must be"):
        mmd(x, (3,), y, (2,))
    with pytest.raises(ShapeError, match="synthetic"):
        mmd(x, (4,), rows(1, 2, 5), (2,))
    with pytest.raises(ShapeError, match="in 2"):
        mmd(x, (4,), y, (1, 1))
    for wrong in (0.0, (), (1.0, -1.0), float("nan")):
        with pytest.raises(ConfigError, match="above 0"):
            mmd(x, (4,), y, (2,), wrong)
    for alone in (x[:1], x[:1].repeat(4, 1)):
        with pytest.raises(NumericsError, match="median"):
            mmd(alone, (len(alone),), y, (2,), None)
