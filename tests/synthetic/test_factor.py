from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ShapeError
from limbeck.rng import stream
from limbeck.synthetic.factor import cells, decode, encode


def literal_resize(x, size):
    return torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


@given(st.integers(4, 19), st.integers(4, 19), st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None)
def test_both_ways_equal_plain_interpolation(height, width, factor, items):
    x = torch.rand(items, 2, height, width, generator=stream(0, "x"), dtype=torch.float64)
    expected = torch.stack([literal_resize(x[:, :, r, c], (height, width)) for r, c in cells(height, width, factor)])
    assert torch.allclose(decode(x, factor), expected, atol=1e-12)
    parts = torch.rand(factor**2, items, 2, height, width, generator=stream(1, "x"), dtype=torch.float64)
    packed = encode(parts, factor)
    for part, (r, c) in zip(parts, cells(height, width, factor), strict=True):
        small = literal_resize(part, (r.stop - r.start, c.stop - c.start))
        assert torch.allclose(packed[:, :, r, c], small, atol=1e-12)


def test_halving_is_the_mean_of_two_by_two():
    x = torch.rand(4, 1, 1, 8, 8, generator=stream(0, "x"))
    assert torch.allclose(encode(x, 2)[0, 0, :4, :4], torch.nn.functional.avg_pool2d(x[0], 2)[0, 0])


def test_cells_go_column_by_column():
    assert cells(4, 6, 2) == [
        (slice(0, 2), slice(0, 3)),
        (slice(2, 4), slice(0, 3)),
        (slice(0, 2), slice(3, 6)),
        (slice(2, 4), slice(3, 6)),
    ]


def test_gradient():
    x = torch.rand(2, 1, 5, 7, generator=stream(0, "x"), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: decode(v, 2), x)


@pytest.mark.parametrize("factor", [0, 9])
def test_a_factor_that_does_not_fit_is_an_error(factor):
    with pytest.raises(ShapeError, match="factor"):
        cells(8, 8, factor)
