from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ShapeError
from limbeck.losses.means import cgm, distribution_matching, icm
from limbeck.rng import stream


def means(seed, k=3, d=7, modalities=("audio", "image")):
    return {
        m: torch.randn(k, d, generator=stream(seed, "means", m), dtype=torch.float64).requires_grad_()
        for m in modalities
    }


def literal(real, synthetic):
    """AVDD's equations, class by class, as printed."""
    base = joint = gap = 0.0
    for c in range(len(real["audio"])):
        ra, rv, sa, sv = real["audio"][c], real["image"][c], synthetic["audio"][c], synthetic["image"][c]
        base = base + ((ra - sa) ** 2).sum() + ((rv - sv) ** 2).sum()
        joint = joint + (((ra + rv) - (sa + sv)) ** 2).sum()
        gap = gap + (((ra + sv) - (rv + sa)) ** 2).sum()
    return base, joint, gap


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 9))
@settings(deadline=None)
def test_losses_are_the_printed_equations(seed, k, d):
    real, synthetic = means(seed, k, d), means(seed + 1, k, d)
    ours = [f(real, synthetic) for f in (distribution_matching, icm, cgm)]
    for mine, printed in zip(ours, literal(real, synthetic), strict=True):
        assert torch.allclose(mine, printed, rtol=1e-12)


@pytest.mark.parametrize("weight", [1.0, 10.0, 20.0])
def test_equal_weights_only_lengthen_dm(weight):
    real, synthetic = means(0), means(1)
    values = list(synthetic.values())
    dm = distribution_matching(real, synthetic)
    avdd = dm + weight * icm(real, synthetic) + weight * cgm(real, synthetic)
    assert torch.allclose(avdd, (1 + 2 * weight) * dm, rtol=1e-13)
    long = torch.autograd.grad(avdd, values, retain_graph=True)
    for a, b in zip(long, torch.autograd.grad(dm, values), strict=True):
        assert torch.allclose(a, (1 + 2 * weight) * b, rtol=1e-12, atol=1e-12)


def test_unequal_weights_see_the_inner_product():
    real, synthetic = means(0), means(1)
    d = {m: real[m] - synthetic[m] for m in real}
    gap = 3 * icm(real, synthetic) + 1 * cgm(real, synthetic)
    expected = 4 * distribution_matching(real, synthetic) + 2 * 2 * (d["audio"] * d["image"]).sum()
    assert torch.allclose(gap, expected)


@pytest.mark.parametrize("loss", [distribution_matching, icm, cgm])
def test_gradients(loss):
    real = means(0)
    assert torch.autograd.gradcheck(lambda a, v: loss(real, {"audio": a, "image": v}), tuple(means(1).values()))
    assert loss(real, real).item() == 0


def test_what_does_not_fit_is_an_error():
    real = means(0)
    with pytest.raises(ShapeError, match="real means of"):
        distribution_matching(real, {"audio": real["audio"]})
    with pytest.raises(ShapeError, match="must be"):
        distribution_matching(real, means(0, d=5))
    with pytest.raises(ShapeError, match="two modalities"):
        icm({"audio": real["audio"]}, {"audio": real["audio"]})
