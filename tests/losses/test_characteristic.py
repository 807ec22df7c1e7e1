from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.characteristic import amplitude_phase, characteristic, draw_frequencies, root, squared
from limbeck.rng import stream
from tests.reference import characteristic_literal as literal


def rows(seed, n, d=3, dtype=torch.float64):
    return torch.randn(n, d, generator=stream(seed, "rows"), dtype=dtype)


def drawn(count, width, seed=0, **how):
    return draw_frequencies(count, width, stream(seed, "frequencies"), **how).double()


sizes = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3)


@given(st.integers(0, 1000), sizes, st.integers(1, 4), st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_both_forms_are_the_printed_equations_class_by_class(seed, counts, d, count):
    n, m = zip(*counts, strict=True)
    x, y, t = rows(seed, sum(n), d), rows(seed + 1, sum(m), d), drawn(count, d, seed)
    classes = list(zip(x.split(n), y.split(m), strict=True))
    for ours, printed in ((squared, literal.squared), (root, literal.root)):
        expected = sum(printed(a.tolist(), b.tolist(), t.tolist()) for a, b in classes)
        assert ours(x, n, y, m, t).item() == pytest.approx(expected, rel=1e-9)
        one_by_one = sum(ours(a, (len(a),), b, (len(b),), t).item() for a, b in classes)
        assert ours(x, n, y, m, t).item() == pytest.approx(one_by_one, rel=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.9, 0.1), (1.0, 0.0), (0.0, 2.0)])
def test_weights_of_amplitude_and_phase(alpha, beta):
    x, y, t = rows(0, 5), rows(1, 3), drawn(9, 3)
    found = root(x, (5,), y, (3,), t, alpha=alpha, beta=beta).item()
    assert found == pytest.approx(literal.root(x.tolist(), y.tolist(), t.tolist(), alpha, beta), rel=1e-9)


def test_amplitude_and_phase_add_up_to_the_squared_distance():
    x, y, t = rows(0, 5), rows(1, 3), drawn(50, 3)
    p, q = characteristic(x, (5,), t), characteristic(y, (3,), t)
    amplitude, phase = amplitude_phase(p, q)
    torch.testing.assert_close(amplitude + phase, (p[0] - q[0]).square() + (p[1] - q[1]).square())
    for i in range(50):
        parts = literal.parts(x.tolist(), y.tolist(), t[i].tolist())
        assert (amplitude[0, i].item(), phase[0, i].item()) == pytest.approx(parts, abs=1e-12)
    assert min(amplitude.max(), phase.max()) > 0.1  # neither is a dead part


def test_equal_weights_make_the_root_form_a_mean_of_moduli():
    x, y, t = rows(0, 8, 6), rows(1, 4, 6), drawn(100, 6)
    p, q = (torch.complex(*characteristic(z, (len(z),), t)) for z in (x, y))
    assert root(x, (8,), y, (4,), t).item() == pytest.approx((p - q).abs().mean().item() / math.sqrt(2), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (1.0, 0.0)])
def test_equal_sets_are_at_zero_with_a_finite_gradient(dtype, alpha, beta):
    x, t = rows(0, 6, 16, dtype), drawn(64, 16).to(dtype)
    y = x.clone().requires_grad_()
    assert squared(x, (2, 4), y, (2, 4), t).item() == 0
    found = root(x, (2, 4), y, (2, 4), t, alpha=alpha, beta=beta)
    (slope,) = torch.autograd.grad(found, y)
    assert found.item() == pytest.approx(2 * math.sqrt(beta * 1e-12), rel=1e-5)  # two classes' floor
    assert torch.equal(slope, torch.zeros_like(slope))
    shuffled = x.flip(0)
    assert squared(x, (6,), shuffled, (6,), t) < 1e-12


@pytest.mark.parametrize("apart", [1e-2, 1e-4, 1e-6, 1e-8])
def test_the_root_form_beside_its_minimum_in_single_precision(apart):
    """Value and slope are those of double precision as far as the rows' digits go, and never large."""
    x, t = rows(0, 6, 16), drawn(64, 16)
    y = x + apart * rows(1, 6, 16)
    found = []
    for dtype in (torch.float32, torch.float64):
        leaf = y.to(dtype).requires_grad_()
        value = root(x.to(dtype), (6,), leaf, (6,), t.to(dtype))
        (slope,) = torch.autograd.grad(value, leaf)
        assert slope.isfinite().all()
        assert slope.norm() < 3
        found.append(value.item())
    assert found[0] == pytest.approx(found[1], rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("form", [squared, root])
def test_gradients_to_rows_and_frequencies(form):
    x, y, t = rows(0, 5).requires_grad_(), rows(1, 4).requires_grad_(), drawn(7, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y, t: form(x, (2, 3), y, (1, 3), t), (x, y, t))
    assert torch.autograd.gradcheck(lambda y: form(x.detach(), (2, 3), y, (1, 3), t.detach()), y)


def test_the_way_back_can_be_taken_again():
    y, t = rows(1, 4).requires_grad_(), drawn(7, 3)
    found = squared(rows(0, 5), (5,), y, (4,), t)
    (first,) = torch.autograd.grad(found, y, retain_graph=True)
    assert torch.equal(first, torch.autograd.grad(found, y)[0])


def test_differentiating_twice_is_an_error():
    y = rows(1, 4).requires_grad_()
    (slope,) = torch.autograd.grad(squared(rows(0, 5), (5,), y, (4,), drawn(7, 3)), y, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        slope.sum().backward()


class Largest(TorchDispatchMode):
    """The size of the largest tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numbers = max(self.numbers, out.numel())
        return out


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_give_what_the_whole_gives_and_bound_the_memory(chunk):
    counts, t = (5, 1, 14, 20), drawn(33, 3).requires_grad_()
    x = rows(0, 40).requires_grad_()
    whole = characteristic(x, counts, t, chunk=40)
    with torch.no_grad(), Largest() as seen:
        parts = characteristic(x, counts, t, chunk=chunk)
    for a, b in zip(parts, whole, strict=True):
        torch.testing.assert_close(a, b.detach())
    assert seen.numbers <= max(min(chunk, 40), 2 * len(counts)) * 33
    leaves = characteristic(x, counts, t, chunk=chunk)
    for leaf in (x, t):
        slopes = [torch.autograd.grad((p * p * q).sum(), leaf, retain_graph=True)[0] for p, q in (whole, leaves)]
        torch.testing.assert_close(slopes[0], slopes[1])


def test_frequencies():
    found = draw_frequencies(2000, 30, stream(0, "t"), scale=0.5)
    assert found.shape == (2000, 30)
    assert found.std().item() == pytest.approx(0.5, rel=0.02)
    assert torch.equal(found, draw_frequencies(2000, 30, stream(0, "t"), scale=0.5))
    assert not torch.equal(found, draw_frequencies(2000, 30, stream(1, "t"), scale=0.5))


def test_what_does_not_fit_is_an_error():
    x, t = rows(0, 4), drawn(5, 3)
    with pytest.raises(ShapeError, match="must be"):
        squared(x, (4,), rows(1, 2), (3,), t)
    with pytest.raises(ShapeError, match=r"must be \(F, D\)"):
        squared(x, (4,), rows(1, 2, 4), (2,), t)
    with pytest.raises(ShapeError, match=r"must be \(F, D\)"):
        characteristic(x, (4,), t[:0])
    with pytest.raises(ShapeError, match="one by one"):
        root(x, (2, 2), x, (4,), t)
    for wrong in ({"alpha": -1.0}, {"alpha": 0.0, "beta": 0.0}, {"eps": -1.0}):
        with pytest.raises(ConfigError, match="below 0"):
            root(x, (4,), x, (4,), t, **wrong)
    for count, width, scale in ((0, 3, 1.0), (3, 0, 1.0), (3, 3, 0.0), (3, 3, math.nan)):
        with pytest.raises(ConfigError, match="above 0"):
            draw_frequencies(count, width, stream(0, "t"), scale=scale)
