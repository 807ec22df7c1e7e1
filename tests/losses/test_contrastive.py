from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.contrastive import info_nce, supervised_contrast
from limbeck.rng import stream
from tests.reference import decoupling as literal


def items(seed, *shape):
    return torch.randn(*shape, generator=stream(seed, "items"), dtype=torch.float64)


def labels_of(seed, *shape, classes=3):
    return torch.randint(classes, shape, generator=stream(seed, "labels"))


@given(st.integers(0, 1000), st.integers(2, 7), st.integers(1, 5), st.sampled_from(["mean", "sum"]))
@settings(deadline=None)
def test_supervised_contrast_is_the_printed_equation(seed, n, d, reduction):
    u, labels = F.normalize(items(seed, n, d), dim=-1), labels_of(seed, n)
    ours = supervised_contrast(u, labels, temperature=0.3, reduction=reduction)
    printed = literal.supervised_contrast(u.tolist(), labels.tolist(), 0.3, reduction)
    assert ours.item() == pytest.approx(printed, rel=1e-10, abs=1e-12)


@given(st.integers(0, 1000), st.integers(1, 7), st.integers(1, 5))
@settings(deadline=None)
def test_info_nce_is_the_printed_equation(seed, n, d):
    a, b = items(seed, n, d), items(seed + 1, n, d)
    ours = info_nce(a, b, temperature=0.2)
    assert ours.item() == pytest.approx(literal.info_nce(a.tolist(), b.tolist(), 0.2), rel=1e-10, abs=1e-12)


def test_leading_dimensions_are_batches_of_their_own():
    a, b, labels = items(0, 3, 6, 4), items(1, 3, 6, 4), labels_of(0, 3, 6)
    u = F.normalize(a, dim=-1)
    together = supervised_contrast(u, labels, temperature=0.07), info_nce(a, b, temperature=0.07)
    for t in range(3):
        torch.testing.assert_close(together[0][t], supervised_contrast(u[t], labels[t], temperature=0.07))
        torch.testing.assert_close(together[1][t], info_nce(a[t], b[t], temperature=0.07))


def test_gradients():
    labels = torch.tensor([0, 1, 0, 1, 0, 2])  # the last has no positive
    a, b = items(0, 6, 4).requires_grad_(), items(1, 6, 4).requires_grad_()
    for reduction in ("mean", "sum"):
        assert torch.autograd.gradcheck(
            lambda x, how=reduction: supervised_contrast(
                F.normalize(x, dim=-1), labels, temperature=0.3, reduction=how
            ),
            (a,),
        )
    assert torch.autograd.gradcheck(lambda x, y: info_nce(x, y, temperature=0.3), (a, b))


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_no_positive_is_no_loss_and_no_gradient(labels):
    u = F.normalize(items(0, len(labels), 4), dim=-1).requires_grad_()
    loss = supervised_contrast(u, torch.tensor(labels), temperature=0.07)
    (gradient,) = torch.autograd.grad(loss, u)
    assert loss.item() == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_what_belongs_together_costs_less():
    a = F.normalize(items(0, 8, 16), dim=-1)
    assert info_nce(a, a, temperature=0.07) < info_nce(a, a.roll(1, 0), temperature=0.07)
    pairs = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    close = a[::2].repeat_interleave(2, 0)
    assert supervised_contrast(close, pairs, temperature=0.07) < supervised_contrast(a, pairs, temperature=0.07)


def test_small_temperatures_stay_finite():
    a = F.normalize(torch.randn(32, 8, generator=stream(0, "a")), dim=-1)
    assert supervised_contrast(a, labels_of(0, 32), temperature=1e-3).isfinite()
    assert info_nce(a, -a, temperature=1e-3).isfinite()


def test_what_does_not_fit_is_an_error():
    u, labels = items(0, 4, 3), labels_of(0, 4)
    with pytest.raises(ShapeError, match="labels"):
        supervised_contrast(u, labels[:3], temperature=0.1)
    with pytest.raises(ConfigError, match="Did you mean 'mean'"):
        supervised_contrast(u, labels, temperature=0.1, reduction="meen")
    with pytest.raises(ConfigError, match="temperature"):
        supervised_contrast(u, labels, temperature=0.0)
    with pytest.raises(ShapeError, match="equal"):
        info_nce(u, u[:3], temperature=0.1)
    with pytest.raises(ShapeError, match="N, D"):
        info_nce(u[0], u[0], temperature=0.1)
