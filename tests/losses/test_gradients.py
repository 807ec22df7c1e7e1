from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ShapeError
from limbeck.losses.gradients import EPS, layerwise, matched, rows
from limbeck.rng import stream
from tests.reference.gradients import distance

SHAPES = {"0.conv": (3, 2, 3, 3), "0.scale": (3,), "1.conv": (2, 3, 1, 1), "head.weight": (4, 5), "head.bias": (4,)}


def gradients(seed, shapes=SHAPES, size=1.0):
    return {
        name: (torch.randn(shape, generator=stream(seed, "gradients", name), dtype=torch.float64) * size)
        for name, shape in shapes.items()
    }


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 5), st.sampled_from([1e-6, 1e-3, 1.0, 1e3]))
@settings(deadline=None, max_examples=30)
def test_it_is_the_printed_distance(seed, out, into, size):
    shapes = {"0.conv": (out, into, 3, 3), "0.shift": (out,), "head.weight": (into, out)}
    real, synthetic = gradients(seed, shapes, size), gradients(seed + 1, shapes)
    assert float(layerwise(real, synthetic)) == pytest.approx(distance(real, synthetic), rel=1e-12)


def test_biases_and_norms_play_no_part():
    real, synthetic = gradients(0), gradients(1)
    assert matched(real) == ["0.conv", "1.conv", "head.weight"]
    moved = {name: g + 5 if g.ndim == 1 else g for name, g in synthetic.items()}
    assert torch.equal(layerwise(real, moved), layerwise(real, synthetic))


def test_only_directions_count_and_each_row_by_itself():
    real = gradients(0)
    stretched = {name: g * torch.arange(1, len(g) + 1).view(-1, *[1] * (g.ndim - 1)) for name, g in real.items()}
    assert float(layerwise(real, stretched)) == pytest.approx(0, abs=1e-4)  # 1e-6 of each product of norms is left
    against = {name: -g for name, g in real.items()}
    count = sum(len(real[name]) for name in matched(real))
    assert float(layerwise(real, against)) == pytest.approx(2 * count, rel=1e-5)


def test_its_gradient():
    real, synthetic = gradients(0), gradients(1)
    names = list(synthetic)
    inputs = tuple(g.requires_grad_() for g in synthetic.values())
    assert torch.autograd.gradcheck(lambda *g: layerwise(real, dict(zip(names, g, strict=True))), inputs)


@pytest.mark.parametrize("side", ["real", "synthetic", "both"])
def test_rows_of_zeros_are_finite(side):
    real, synthetic = gradients(0)["head.weight"], gradients(1)["head.weight"]
    if side != "synthetic":
        real[1] = 0
    if side != "real":
        synthetic[1] = 0
    synthetic.requires_grad_()
    found = rows(real, synthetic)
    found.backward()
    alone = rows(real[1:2], synthetic[1:2])
    assert alone.item() == 1
    assert torch.isfinite(found)
    assert torch.isfinite(synthetic.grad).all()
    if side == "synthetic":  # the limit of the formula
        assert torch.allclose(synthetic.grad[1], -real[1] / EPS)
    else:
        assert not synthetic.grad[1].any()


def test_what_does_not_fit_is_an_error():
    real = gradients(0)
    with pytest.raises(ShapeError, match="real gradients of"):
        layerwise(real, {"0.conv": real["0.conv"]})
    with pytest.raises(ShapeError, match="both must be"):
        layerwise(real, {**real, "0.conv": real["0.conv"][:, :1]})
    with pytest.raises(ShapeError, match="no gradient with rows"):
        layerwise({"b": real["head.bias"]}, {"b": real["head.bias"]})
