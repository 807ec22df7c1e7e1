from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from limbeck.errors import ConfigError, NumericsError, ShapeError
from limbeck.losses.spherical import KERNELS, agreement, angles, discrepancy, kernel_distance, kernel_matrix
from limbeck.rng import stream
from tests.reference import spherical as literal


def units(seed, *shape, dtype=torch.float64):
    return F.normalize(torch.randn(*shape, generator=stream(seed, "units"), dtype=dtype), dim=-1)


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(2, 6), st.integers(2, 5), st.floats(0.2, 2.0))
@settings(deadline=None)
def test_the_distance_is_the_printed_equation(seed, n, m, d, sigma):
    a, b = units(seed, n, d), units(seed + 1, m, d)
    for kernel in KERNELS:
        for biased in (True, False):
            printed = literal.square(a.tolist(), b.tolist(), kernel, sigma, biased)
            ours = kernel_distance(a, b, kernel=kernel, bandwidth=sigma, biased=biased).item()
            assert ours**2 == pytest.approx(max(printed, 0.0), rel=1e-8, abs=2e-12)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(2, 5))
@settings(deadline=None)
def test_agreement_and_discrepancy_are_the_printed_equations(seed, n, d):
    a, b = units(seed, n, d), units(seed + 1, n, d)
    u, g = agreement(a, b), discrepancy(a, b)
    torch.testing.assert_close(u, torch.tensor(literal.agreement(a.tolist(), b.tolist()), dtype=u.dtype))
    torch.testing.assert_close(g, torch.tensor(literal.discrepancy(a.tolist(), b.tolist()), dtype=u.dtype))
    torch.testing.assert_close((u * g).sum(-1), torch.zeros(n, dtype=u.dtype), atol=1e-12, rtol=0)


def test_angles_of_known_vectors():
    a = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    turns = [0.0, 1e-9, math.pi / 4, math.pi / 2, math.pi - 1e-9, math.pi]
    b = torch.tensor([[math.cos(t), math.sin(t)] for t in turns], dtype=torch.float64)
    assert angles(a, b)[0].tolist() == pytest.approx(turns, rel=1e-6, abs=1e-15)
    assert angles(a, a).item() == 0


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("biased", [True, False])
def test_gradients(kernel, biased):
    a, b = (5 * units(0, 5, 3)).requires_grad_(), (5 * units(1, 4, 3)).requires_grad_()

    def distance(x, y):
        x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
        return kernel_distance(x, y, kernel=kernel, biased=biased)

    assert distance(a, b) > 0.01  # else nothing is checked
    assert torch.autograd.gradcheck(distance, (a, b))


def test_gradients_of_agreement_and_discrepancy():
    a, b = units(0, 4, 3).requires_grad_(), units(1, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(agreement, (a, b))
    assert torch.autograd.gradcheck(discrepancy, (a, b))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", KERNELS)
def test_equal_clouds_are_at_zero_with_a_finite_gradient(kernel, dtype):
    a = units(0, 7, 16, dtype=dtype).requires_grad_()
    distance = kernel_distance(a, a.detach().clone(), kernel=kernel)
    (slope,) = torch.autograd.grad(distance, a)
    assert distance.item() == 0
    assert torch.equal(slope, torch.zeros_like(slope))
    assert kernel_distance(a, a.detach()[torch.randperm(7, generator=stream(0, "p"))], kernel=kernel) < 1e-3


@pytest.mark.parametrize("kernel", KERNELS)
def test_shared_and_opposite_points_have_a_finite_gradient(kernel):
    a, b = units(0, 6, 8).requires_grad_(), units(1, 6, 8)
    b[0], b[1] = a[0].detach(), -a[1].detach()
    distance = kernel_distance(a, b, kernel=kernel)
    (slope,) = torch.autograd.grad(distance, a)
    assert distance > 0
    assert slope.isfinite().all()
    assert float(slope.abs().max()) < 10


def test_the_geodesic_slope_near_equality_is_its_limit():
    """dk/dphi = -phi k / sigma^2: no digit is lost at an angle of 1e-7, where arccos has none left."""
    turn = torch.tensor(1e-7, dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    value = kernel_matrix(torch.stack([turn.cos(), turn.sin()])[None], b, bandwidth=0.5)
    (slope,) = torch.autograd.grad(value.sum(), turn)
    assert slope.item() == pytest.approx(-1e-7 / 0.25, rel=1e-6)


def test_pairs_without_a_direction_pass_no_gradient():
    a = units(0, 3, 4).requires_grad_()
    for f, b in ((discrepancy, a.detach().clone()), (agreement, -a.detach())):
        found = f(a, b)
        (slope,) = torch.autograd.grad(found.sum(), a)
        assert torch.equal(found, torch.zeros_like(found))
        assert torch.equal(slope, torch.zeros_like(slope))


def test_the_unbiased_form_is_often_at_its_floor_near_equality_and_the_biased_one_never():
    floor = 0
    for seed in range(40):
        a, b = units(2 * seed, 64, 8), units(2 * seed + 1, 16, 8)
        floor += kernel_distance(a, b, biased=False).item() == pytest.approx(1e-6)
        assert kernel_distance(a, b) > 0.01
    assert 8 <= floor <= 32


def test_float32_keeps_the_digits_that_cancel():
    a, b = units(0, 64, 256), units(1, 64, 256)
    ours = kernel_distance(a.float(), b.float())
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(kernel_distance(a, b).item(), rel=1e-4)


def test_what_does_not_fit_is_an_error():
    a = units(0, 4, 3)
    with pytest.raises(ShapeError, match="must be"):
        kernel_distance(a, units(0, 4, 2))
    with pytest.raises(ShapeError, match="must be"):
        kernel_matrix(a, a[:0])
    with pytest.raises(ShapeError, match="needs 2"):
        kernel_distance(a, a[:1], biased=False)
    with pytest.raises(ShapeError, match="both must be"):
        agreement(a, a[:2])
    with pytest.raises(ConfigError, match="Did you mean 'chordal'"):
        kernel_distance(a, a, kernel="cordal")
    with pytest.raises(ConfigError, match="bandwidth"):
        kernel_distance(a, a, bandwidth=0.0)
    with pytest.raises(NumericsError, match="not finite"):
        kernel_distance(a, a * float("nan"))


@pytest.mark.parametrize("apart", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_single_precision_gives_the_gradient_of_double_also_between_near_points(kernel, apart):
    """Of the same numbers, once rounded: through products in double, where double itself goes through differences."""
    a = units(0, 9, 32, dtype=torch.float32)
    b = F.normalize(a + apart * units(1, 9, 32, dtype=torch.float32), dim=1)
    slopes = []
    for x, y in ((a, b), (a.double(), b.double())):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(kernel_matrix(leaf, y, kernel=kernel).square().sum(), leaf)
        slopes.append(slope.double())
    assert float((slopes[0] - slopes[1]).norm() / slopes[1].norm()) < 1e-5
