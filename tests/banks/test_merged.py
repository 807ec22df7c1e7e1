from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.banks import merged as module
from limbeck.banks.merged import blend, grams, merge, ratios
from limbeck.errors import ConfigError, ShapeError
from limbeck.rng import stream
from tests.reference import merged as literal


def network(seed, scale=1.0, dtype=torch.float64):
    draw = stream(seed, "network")
    shapes = {"weight": (4, 3), "bias": (4,), "gain": ()}
    return {name: scale * torch.randn(shape, generator=draw, dtype=dtype) for name, shape in shapes.items()}


def near(anchor, seed, share=0.7):
    """Experts that went somewhat the same way."""
    way, own = network(1000), network(seed)
    return {n: x + share * way[n] + (1 - share) * own[n] for n, x in anchor.items()}


def vector(*values):
    return {"w": torch.tensor(values, dtype=torch.float64)}


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ((2.0, 0.0), (2.0, 0.0), (1.0, 0.0)),  # c = 1, t = 1: half of the way
        ((2.0, 0.0), (0.0, 2.0), (0.0, 0.0)),  # c = 0: the anchor
        ((1.0, 0.0), (0.5, math.sqrt(3) / 2), (0.25, math.sqrt(3) / 12)),  # c = 1/2, t = 2/3
        ((1.0, 0.0), (-0.5, math.sqrt(3) / 2), (-0.25, -math.sqrt(3) / 4)),  # c = -1/2, t = -2: away from both
        ((1.0, 0.0), (-1.0, 0.0), (0.0, 0.0)),  # c = -1, no ratio: the anchor
        ((1.0, 0.0), (-3.0, 0.0), (0.0, 0.0)),
        ((0.0, 0.0), (1.0, 1.0), (0.0, 0.0)),  # one did not move
    ],
)
def test_merges_of_hand_made_vectors(one, two, expected):
    for shift in (0.0, 8.0):
        found = merge(
            {"w": vector(0.0, 0.0)["w"] + shift}, [{"w": vector(*one)["w"] + shift}, {"w": vector(*two)["w"] + shift}]
        )
        assert found["w"].tolist() == pytest.approx([x + shift for x in expected], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("values", [(0.3, -0.2), (0.3, 0.1, -0.2, -0.7)])
def test_one_number_between_its_experts_stays(values, dtype):
    """The code's c = -1 divides by zero here; for four experts c = -1/3 does."""
    anchor = {"gain": torch.tensor(0.7, dtype=dtype)}
    experts = [{"gain": anchor["gain"] + v} for v in values]
    assert merge(anchor, experts)["gain"].item() == anchor["gain"].item()


def test_the_clamp_leaves_the_anchor_where_experts_disagree():
    anchor, one, two = vector(0.0, 0.0), vector(1.0, 0.0), vector(-0.5, math.sqrt(3) / 2)
    assert merge(anchor, [one, two], clamp=True)["w"].tolist() == [0.0, 0.0]
    agreeing = [vector(1.0, 0.0), vector(0.5, math.sqrt(3) / 2)]
    assert torch.equal(merge(anchor, agreeing, clamp=True)["w"], merge(anchor, agreeing)["w"])


def test_without_the_clamp_it_diverges_towards_opposite_experts():
    turn = math.pi - 1e-2
    found = merge(vector(0.0, 0.0), [vector(1.0, 0.0), vector(math.cos(turn), math.sin(turn))])
    c = math.cos(turn)
    assert found["w"][1].item() == pytest.approx(0.5 * 2 * c / (1 + c) * math.sin(turn) / 2, rel=1e-5)
    assert float(found["w"].norm()) > 50


@given(st.integers(0, 1000), st.integers(2, 5), st.floats(0, 1), st.booleans())
@settings(deadline=None)
def test_merges_are_the_printed_equation(seed, count, alpha, clamp):
    anchor = network(seed)
    experts = [near(anchor, seed + k + 1) for k in range(count)]
    found = merge(anchor, experts, alpha=alpha, clamp=clamp)
    for name, value in found.items():
        flat = [x[name].reshape(-1).tolist() for x in (anchor, *experts)]
        assert value.shape == anchor[name].shape
        assert value.reshape(-1).tolist() == pytest.approx(literal.merge(flat[0], flat[1:], alpha, clamp), rel=1e-6)
        if count == 2 and not clamp:
            assert value.reshape(-1).tolist() == pytest.approx(literal.merge_two(*flat, alpha), rel=1e-6)


@given(st.integers(0, 1000), st.permutations(range(6)), st.integers(2, 4))
@settings(deadline=None)
def test_products_that_are_known_beforehand_give_the_same_merge(seed, order, count):
    """All tensors' ratios at once from one stack of inner products of every snapshot."""
    anchor = network(seed)
    snapshots = [near(anchor, seed + k + 1) for k in range(6)]
    inner = grams(anchor, snapshots)
    chosen = order[:count]
    found = ratios(torch.stack(list(inner.values())), torch.tensor(chosen))
    experts = [snapshots[k] for k in chosen]
    fast = blend(anchor, experts, dict(zip(inner, found, strict=True)))
    for name, value in merge(anchor, experts).items():
        torch.testing.assert_close(fast[name], value, rtol=1e-9, atol=1e-12)


def test_large_tensors_go_block_by_block(monkeypatch):
    anchor = network(0)
    snapshots = [near(anchor, k + 1) for k in range(3)]
    whole = grams(anchor, snapshots)
    monkeypatch.setattr(module, "BLOCK", 15)  # five columns
    for name, value in grams(anchor, snapshots).items():
        torch.testing.assert_close(value, whole[name])


def test_what_cannot_be_merged_keeps_the_anchor():
    anchor = {"w": torch.zeros(3), "steps": torch.tensor(7), "head": torch.ones(2)}
    experts = [{"w": torch.ones(3), "steps": torch.tensor(k), "head": torch.ones(k)} for k in (2, 3)]
    found = merge(anchor, experts)
    assert found["steps"].item() == 7
    assert found["steps"].dtype == torch.int64
    assert found["head"].tolist() == [1.0, 1.0]
    assert found["w"].tolist() == [0.5] * 3


def test_half_precision_experts_and_what_is_given_stays():
    anchor = network(0, dtype=torch.float32)
    experts = [{n: (x + 0.1 * k).half() for n, x in anchor.items()} for k in (1, 2)]
    before = {n: x.clone() for n, x in anchor.items()}
    found = merge(anchor, experts)
    for name in anchor:
        assert found[name].dtype == torch.float32
        assert torch.equal(anchor[name], before[name])
        torch.testing.assert_close(found[name], anchor[name] + 0.075, atol=2e-3, rtol=0)


def test_alpha_zero_is_the_anchor():
    anchor = network(0)
    found = merge(anchor, [near(anchor, 1), near(anchor, 2)], alpha=0.0)
    assert all(torch.equal(found[n], anchor[n]) for n in anchor)
    assert all(found[n].data_ptr() != anchor[n].data_ptr() for n in anchor)


def test_what_does_not_fit_is_an_error():
    anchor, one = network(0), network(1)
    with pytest.raises(ShapeError, match="2 or more"):
        merge(anchor, [one])
    with pytest.raises(ShapeError, match=r"expert 1.*bias"):
        merge(anchor, [one, {n: x for n, x in one.items() if n != "bias"}])
    with pytest.raises(ConfigError, match="alpha"):
        merge(anchor, [one, one], alpha=1.5)
    with pytest.raises(ShapeError, match="2 or more"):
        ratios(torch.eye(3), torch.tensor([1]))
