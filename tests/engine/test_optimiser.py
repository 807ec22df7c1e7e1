from __future__ import annotations

import dataclasses

import pytest
import torch

from limbeck.engine.optimiser import Optimiser
from limbeck.engine.settings import RunSettings
from limbeck.errors import ConfigError, ResumeError


def leaves():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(3, 4, generator=generator).requires_grad_() for name in ("a", "b")}


def slopes(step):
    generator = torch.Generator().manual_seed(100 + step)
    return {name: torch.randn(3, 4, generator=generator) for name in ("a", "b")}


def walk(optimiser, values, steps):
    for step in steps:
        for name, slope in slopes(step).items():
            values[name].grad = slope
        optimiser.step()


def made(kind, rates=None):
    values = leaves()
    settings = dataclasses.replace(RunSettings(), optimiser=kind, lr=0.1, momentum=0.5)
    return Optimiser(values, rates or {"a": 0.1, "b": 0.02}, settings), values


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_it_is_what_the_books_say(kind):
    optimiser, values = made(kind)
    x = {name: v.detach().clone() for name, v in values.items()}
    first = {name: torch.zeros(3, 4) for name in x}
    second = {name: torch.zeros(3, 4) for name in x}
    walk(optimiser, values, range(4))
    for step in range(4):
        for name, slope in slopes(step).items():
            rate = {"a": 0.1, "b": 0.02}[name]
            if kind == "sgd":
                first[name] = 0.5 * first[name] + slope
                x[name] = x[name] - rate * first[name]
                continue
            first[name] = 0.9 * first[name] + 0.1 * slope
            second[name] = 0.999 * second[name] + 0.001 * slope**2
            m, v = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.999 ** (step + 1))
            x[name] = x[name] - rate * m / (v.sqrt() + 1e-8)
    for name in x:
        assert torch.allclose(values[name], x[name], atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_it_goes_on_to_the_same_bits(kind):
    whole, values = made(kind)
    walk(whole, values, range(6))
    cut, half = made(kind)
    walk(cut, half, range(3))
    again, other = made(kind)
    for name, value in other.items():
        value.data.copy_(half[name])
    left = again.restore(3, cut.momenta(), {**cut.state(), "step_sizes": torch.ones(1)})
    assert list(left) == ["step_sizes"]
    walk(again, other, range(3, 6))
    assert all(torch.equal(other[name], values[name]) for name in values)


def test_what_sgd_proposes_is_what_it_does():
    optimiser, values = made("sgd")
    walk(optimiser, values, range(2))
    for name, slope in slopes(2).items():
        values[name].grad = slope
    proposed = optimiser.proposed()
    optimiser.step()
    assert all(torch.allclose(values[name], x, atol=1e-6) for name, x in proposed.items())


def test_adam_tells_what_overflows():
    optimiser, values = made("adam")
    for value in values.values():
        value.grad = torch.full((3, 4), 1e30)
    assert not torch.isfinite(optimiser.proposed()["a"]).all()


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_what_has_no_rate_stays(kind):
    optimiser, values = made(kind, {"a": 0.1, "b": 0.0})
    before = values["b"].detach().clone()
    walk(optimiser, values, range(3))
    assert torch.equal(values["b"], before)


def test_a_checkpoint_of_another_optimiser_is_told():
    optimiser, _ = made("adam")
    with pytest.raises(ResumeError, match="Adam's moments"):
        optimiser.restore(2, optimiser.momenta(), {})


def test_adam_cannot_step_after_each_class(toy, small):
    from limbeck.engine.plan import plan

    with pytest.raises(ConfigError, match="Adam"):
        plan("dm", toy, settings={**small, "optimiser": "adam", "stepping": "per_class"})
