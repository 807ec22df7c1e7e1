from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.contrastive import info_nce
from limbeck.losses.similarity import soft_info_nce, weighted_bce
from limbeck.rng import stream
from tests.reference import similarity as literal

LOSSES = [(weighted_bce, literal.weighted_bce), (soft_info_nce, literal.soft_info_nce)]


def numbers(seed, *shape):
    return torch.randn(*shape, generator=stream(seed, "numbers"), dtype=torch.float64)


def likeness(seed, n):
    """Around the identity, below 0 and above 1 too."""
    return torch.eye(n, dtype=torch.float64) + 0.4 * numbers(seed, n, n)


@pytest.mark.parametrize(("ours", "printed"), LOSSES)
@given(seed=st.integers(0, 1000), n=st.integers(1, 6), d=st.integers(1, 5), tau=st.floats(0.07, 2.0))
@settings(deadline=None)
def test_losses_are_the_printed_equations(ours, printed, seed, n, d, tau):
    a, b, s = numbers(seed, n, d), numbers(seed + 1, n, d), likeness(seed + 2, n)
    expected = printed(a.tolist(), b.tolist(), s.tolist(), tau)
    assert ours(a, b, s, temperature=tau).item() == pytest.approx(expected, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("loss", "_"), LOSSES)
def test_gradients_twice(loss, _):
    """By both embeddings and the similarity; twice, as trajectory matching needs them."""
    learnt = [x.requires_grad_() for x in (numbers(0, 5, 3), numbers(1, 5, 3), likeness(2, 5))]
    assert float((learnt[2].detach() - 0.5).abs().min()) > 1e-3  # no positive is about to become a negative

    def value(a, b, s):
        return loss(a, b, s, temperature=0.3)

    assert torch.autograd.gradcheck(value, learnt)
    assert torch.autograd.gradgradcheck(value, learnt)


def test_the_identity_makes_soft_info_nce_plain():
    a, b = numbers(0, 6, 4), numbers(1, 6, 4)
    soft = soft_info_nce(a, b, torch.eye(6, dtype=torch.float64), temperature=0.07)
    torch.testing.assert_close(soft, info_nce(a, b, temperature=0.07))


def test_weighted_bce_of_orthogonal_pairs_is_known():
    """S = I, cosines 1 and 0: half of -log(sigmoid(1 / tau)) plus half of log 2, but for epsilon."""
    a, tau = torch.eye(4, dtype=torch.float64), 0.5
    p = 1 / (1 + math.exp(-1 / tau))
    positives, negatives = -math.log(p + 1e-6) * 4 / (4 + 1e-6), -math.log(0.5 + 1e-6) * 12 / (12 + 1e-6)
    assert weighted_bce(a, a, torch.eye(4).double(), temperature=tau).item() == pytest.approx(
        (positives + negatives) / 2, rel=1e-12
    )


def test_a_single_pair_has_no_negative():
    a = numbers(0, 1, 3)
    loss = weighted_bce(a, a, torch.ones(1, 1).double(), temperature=0.07)
    assert abs(loss.item()) < 1e-5  # p + epsilon is above 1


def test_small_temperatures_stay_finite_in_single_precision():
    a, s = numbers(0, 8, 4).float().requires_grad_(), torch.eye(8)
    for loss in (weighted_bce, soft_info_nce):
        value = loss(a, -a.detach(), s, temperature=1e-3)
        (slope,) = torch.autograd.grad(value, a)
        assert value.isfinite()
        assert slope.isfinite().all()


@pytest.mark.parametrize(("loss", "_"), LOSSES)
def test_what_does_not_fit_is_an_error(loss, _):
    a, s = numbers(0, 4, 3), torch.eye(4).double()
    with pytest.raises(ShapeError, match="both must be"):
        loss(a, a[:3], s, temperature=0.1)
    with pytest.raises(ShapeError, match=r"must be \(4, 4\)"):
        loss(a, a, s[:3], temperature=0.1)
    with pytest.raises(ConfigError, match="temperature"):
        loss(a, a, s, temperature=0.0)
