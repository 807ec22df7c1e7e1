from __future__ import annotations

import dataclasses

import pytest
import torch

from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.plan import plan
from limbeck.errors import NumericsError
from tests.reference.avdd import literal_run


def make(toy, method, small, method_settings=None, **settings):
    planned = plan(
        method, toy, settings={**small, "init": "random", "group": 4, "real_group": 4, **settings},
        method_settings=method_settings,
    )  # fmt: skip
    start = initial_set(toy, planned.settings, planned.numerics, {})
    return Loop(planned, start)


def values_after(loop, steps):
    for _ in loop.run(steps):
        pass
    return {name: v.detach().clone() for name, v in loop.synthetic.values.items()}


def assert_close(ours, theirs, start):
    for name, value in ours.items():
        moved = (theirs[name] - start[name]).abs().max()
        assert moved > 1e-3
        assert (value - theirs[name]).abs().max() < 2e-4 * moved, name


@pytest.mark.parametrize("sharing", ["class", "step"])
@pytest.mark.parametrize("stepping", ["step", "per_class"])
@pytest.mark.parametrize(("icm", "cgm"), [(10.0, 10.0), (3.0, 0.0)])
def test_the_loop_takes_the_papers_steps(toy, small, sharing, stepping, icm, cgm):
    loop = make(
        toy, "avdd", small, {"icm": icm, "cgm": cgm}, per_class=2, lr=0.01, dsa_sharing=sharing, stepping=stepping
    )
    start = {name: v.detach().clone() for name, v in loop.synthetic.values.items()}
    theirs = literal_run(loop, 4, base=1.0, icm=icm, cgm=cgm, per_class_stepping=stepping == "per_class")
    assert_close(values_after(loop, 4), theirs, start)


def test_groups_change_nothing_but_the_last_bits(toy, small):
    whole = values_after(make(toy, "dm", small, per_class=3, lr=0.02), 5)
    one_by_one = make(toy, "dm", small, per_class=3, lr=0.02, group=1, real_group=3)
    start = {name: v.detach().clone() for name, v in one_by_one.synthetic.values.items()}
    assert_close(values_after(one_by_one, 5), whole, start)


def test_avdd_with_equal_weights_is_dm_at_a_longer_step(toy, small):
    avdd = make(toy, "avdd", small, {"icm": 10.0, "cgm": 10.0}, per_class=1, lr=0.002)
    start = {name: v.detach().clone() for name, v in avdd.synthetic.values.items()}
    rescaled = make(toy, "dm_rescaled", small, {"weight": 10.0}, per_class=1, lr=0.002, factor=2)
    by_hand = make(toy, "dm", small, per_class=1, lr=0.042, factor=2)
    assert rescaled.rates == pytest.approx({name: 21 * rate for name, rate in avdd.rates.items()})
    theirs = values_after(rescaled, 8)
    assert_close(values_after(avdd, 8), theirs, start)
    assert all(torch.equal(theirs[k], v) for k, v in values_after(by_hand, 8).items())


def test_per_class_stepping_is_another_momentum(toy, small):
    """mu' = mu^C and lr' = lr (1 - mu^C) / (1 - mu) as each class's gradient sees it."""
    c = len(toy.classes)
    mu = 0.5**c
    one = make(toy, "dm", small, per_class=1, lr=1e-4, stepping="per_class")
    start = {name: v.detach().clone() for name, v in one.synthetic.values.items()}
    other = make(toy, "dm", small, per_class=1, lr=1e-4 * (1 - mu) / 0.5, momentum=mu)
    ours, theirs = values_after(one, 12), values_after(other, 12)
    last = {name: v[:1] for name, v in ours.items()}  # class 0 steps first: its momentum has run out by the step's end
    assert all((last[k] - theirs[k][:1]).norm() < 0.03 * (theirs[k][:1] - start[k][:1]).norm() for k in last)


def test_the_rate_can_follow_the_width(toy, small):
    loop = make(toy, "dm", small, per_class=1, lr_rule="width")
    width = next(iter(loop.objective.encoders.values())).embedding
    assert loop.rates["image"] == pytest.approx(0.2 * 6272 / width)
    assert make(toy, "dm", small, per_class=1).rates == pytest.approx({"image": 0.2, "audio": 0.2})


def test_authors_seeds_shift_one_run_by_a_step(toy, small):
    first = make(toy, "dm", small, per_class=1, seed=0, streams="authors")
    second = make(toy, "dm", small, per_class=1, seed=1, streams="authors")
    first, second = first.objective, second.objective
    a, b = first.real(first.eye(1)), second.real(second.eye(0))
    assert all(torch.equal(a[k], b[k]) for k in a)
    independent = [make(toy, "dm", small, per_class=1, seed=s).objective for s in (0, 1)]
    a, b = (seen.real(seen.eye(1 - s)) for s, seen in enumerate(independent))
    assert not torch.equal(a["image"], b["image"])


def test_a_non_finite_value_stops_the_step_before_the_set_is_touched(toy, small):
    loop = make(toy, "dm", small, per_class=1)
    next(loop.run(9))
    before = {name: v.detach().clone() for name, v in loop.synthetic.values.items()}
    loop.objective.real = lambda eye: {m: torch.full((4, e.embedding), torch.nan) for m, e in eye.encoders.items()}
    with pytest.raises(NumericsError, match="step 1: loss term 'dm' is not finite"):
        next(loop.run(9))
    assert all(torch.equal(before[k], v) for k, v in loop.synthetic.values.items())
    assert loop.step == 1


def test_one_modality_is_distilled_by_itself(toy, small):
    loop = make(toy, "dm", small, per_class=1, modalities=("audio",))
    assert list(values_after(loop, 1)) == ["audio"]


def test_numerics_are_settled_once(toy, small):
    planned = plan("dm", toy, settings={**small, "per_class": 20, "real_group": None, "group": None, "steps": 1})
    assert 1 <= planned.numerics.group <= 4
    again = plan("dm", toy, settings={**small, "per_class": 20, "real_group": None, "group": None, "steps": 1})
    assert dataclasses.asdict(planned.numerics) == dataclasses.asdict(again.numerics)
