from __future__ import annotations

from itertools import pairwise

import pytest
import torch

import limbeck
from limbeck.data.toy import make_toy
from limbeck.engine import run as run_module
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.objectives import gradients
from limbeck.engine.plan import plan
from limbeck.errors import ConfigError, NumericsError, ResumeError
from limbeck.methods.dc import published_loop
from tests.reference.dc import literal_run

ROUND = {"outer": 3, "inner": 2, "inner_batch": 5, "inner_rate": 0.05}
"""Three steps a network, between them two epochs of two batches."""


def make(store, small, method="dc", **settings):
    planned = plan(
        method, store, settings={**small, "per_class": 2, "steps": 9, "group": 4, "real_group": 4, **settings},
        method_settings=ROUND,
    )  # fmt: skip
    return Loop(planned, initial_set(store, planned.settings, planned.numerics, {}))


def after(loop, steps):
    for _ in loop.run(steps):
        pass
    return {name: v.detach().clone() for name, v in loop.synthetic.values.items()}


@pytest.mark.parametrize(
    ("method", "factor", "augment"),
    [("dc", 2, ""), ("dsa", 1, "color_crop_cutout_flip_scale_rotate"), ("dsa", 2, "crop_flip")],
)
def test_the_steps_are_the_published_ones(toy, small, method, factor, augment):
    loop = make(toy, small, method, factor=factor, augment=augment, init="random")
    start = {name: v.detach().clone() for name, v in loop.synthetic.values.items()}
    theirs = literal_run(loop, 5)  # the second network's second step
    for name, value in after(loop, 5).items():
        assert (theirs[name] - start[name]).abs().max() > 0.02
        assert (value - theirs[name]).abs().max() < 1e-6 * theirs[name].abs().max(), name


def test_a_joint_run_is_a_run_on_each(toy, small):
    both = after(make(toy, small, "dsa"), 4)
    for name, value in both.items():
        alone = after(make(toy, small, "dsa", modalities=(name,)), 4)
        assert torch.equal(alone[name], value)


class Held:
    """A tensor that a graph keeps; counts the bytes of all that are kept at once."""

    now = peak = 0

    def __init__(self, x):
        self.x = x.detach()  # else an output would hold the node that holds it
        Held.now += x.nbytes
        Held.peak = max(Held.peak, Held.now)

    def __del__(self):
        Held.now -= self.x.nbytes


def test_memory_does_not_grow_with_the_classes(tmp_path, small):
    peaks = []
    for classes in (2, 9):
        store = make_toy(tmp_path / f"{classes}", classes=classes, per_class=(10, 1, 1))
        loop = make(store, small)
        Held.now = Held.peak = 0
        with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.x):
            next(loop.run(1))
        peaks.append(Held.peak)
        assert Held.now == 0
    assert peaks[0] > 4e5
    assert peaks[1] < 1.1 * peaks[0]  # 4.5 times with all graphs at once; the heads have a row for each class


def test_only_what_is_differentiated_twice_is_slow(toy, small):
    objective = make(toy, {**small, "kernels": "fused", "precision": "bf16"}).objective
    for name in ("image", "audio"):
        fast, twice = objective.bank.encoders[name], objective.literal[name].encoders[name]
        assert (fast.kernels, fast.precision) == ("fused", "bf16")
        assert (twice.kernels, twice.precision) == ("literal", "fp32")
        assert fast.id == twice.id


def test_the_real_side_in_parts_is_the_whole(toy, small, monkeypatch):
    whole = after(make(toy, small, real_batch=20), 2)
    monkeypatch.setattr(gradients, "CHUNK", 7)
    parts = after(make(toy, small, real_batch=20), 2)
    every = after(make(toy, small, real_statistics="class"), 2)  # all 20 of each class
    for name, value in whole.items():
        for other in (parts, every):
            assert (other[name] - value).abs().max() < 1e-5 * value.abs().max()


def test_a_network_lives_for_a_round(toy, small):
    """It is trained on the set between the steps of a round, and a step leaves it alone."""
    loop = make(toy, small)
    objective, seen = loop.objective, []
    for step in range(4):
        seen.append({k: w.clone() for network in objective.networks(step).values() for k, w in network.items()})
        next(loop.run(step + 1))
        assert all(not w.requires_grad for w in objective.state().values())
        if step in (0, 1):
            assert all(torch.equal(seen[-1][k], w) for k, w in objective.state().items())
        if step == 2:
            assert not objective.state()
    heads = [weights["image/head.weight"] for weights in seen]
    assert (heads[1] - heads[0]).abs().max() < 0.1
    assert all(not torch.equal(a, b) for a, b in pairwise(heads))
    assert (heads[3] - heads[2]).abs().max() > 0.1
    fan = loop.objective.bank.encoders["image"].embedding
    assert heads[0].abs().max() == pytest.approx(fan**-0.5, rel=0.05)  # torch's default, not a student's N(0, 1e-4)


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_a_run_cut_inside_a_round_resumes_to_the_same_bits(toy, small, tmp_path, monkeypatch, cut):
    given = {**small, "per_class": 2, "steps": 7, "checkpoint_every": 0, "method_settings": ROUND}
    whole = limbeck.distill("dsa", toy, out=tmp_path / "whole", **given)
    held = []

    class Cut(Exception):
        pass

    def write(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        if state.step == cut:
            held.append(set(state.extra))
            raise Cut

    monkeypatch.setattr(run_module, "write_checkpoint", write)
    with pytest.raises(Cut):
        limbeck.distill("dsa", toy, out=tmp_path / "cut", **given)
    monkeypatch.undo()
    assert ("audio/0.conv" in held[0]) == (cut % 3 != 0)
    again = limbeck.distill("dsa", out=tmp_path / "cut", resume=True)
    assert all(torch.equal(again.values[k], v) for k, v in whole.values.items())


def test_a_foreign_network_is_refused(toy, small):
    loop = make(toy, small)
    next(loop.run(1))
    state = loop.objective.state()
    with pytest.raises(ResumeError, match="does not fit the network"):
        loop.objective.restore({**state, "image/head.bias": torch.zeros(3)})
    with pytest.raises(ResumeError, match="of no network here"):
        loop.objective.restore({**state, "text/head.bias": torch.zeros(4)})
    loop.objective.restore({})
    with pytest.raises(ResumeError, match="which is not there"):
        next(loop.run(2))


def test_a_network_that_diverges_stops_the_step_before_the_set_is_touched(toy, small):
    loop = make(toy, small)
    next(loop.run(1))
    kept, state = after(loop, 1), loop.objective.state()
    loop.objective.recipe = type(loop.objective.recipe)(**{**vars(loop.objective.recipe), "rate": 1e38})
    with pytest.raises(NumericsError, match=r"step 1, epoch 0: the image network that is trained on the set"):
        next(loop.run(2))
    assert loop.step == 1
    assert all(torch.equal(loop.synthetic.values[k], v) for k, v in kept.items())
    assert all(torch.equal(loop.objective.state()[k], w) for k, w in state.items())


@pytest.mark.parametrize(
    ("per_class", "loop"),
    [(1, (1, 1)), (3, (1, 1)), (4, (10, 50)), (14, (10, 50)), (20, (20, 25)), (50, (50, 10)), (500, (50, 10))],
)
def test_loops_are_those_of_the_nearest_published_budget(per_class, loop):
    assert published_loop(per_class) == loop


def test_the_defaults_are_the_papers(tmp_path, toy):
    large = make_toy(tmp_path / "large", classes=2, per_class=(10, 1, 1), image_size=112, captions=False)
    quick = {"group": 1, "real_group": 1, "per_class": 10}
    dc = plan("dc", large, settings=quick)
    assert (dc.settings.steps, dc.settings.real_batch, dc.settings.channels) == (10_000, 256, 128)
    assert (dc.settings.lr, dc.settings.momentum, dc.settings.init, dc.settings.augment) == (0.1, 0.5, "noise", "")
    assert (dc.method.outer, dc.method.inner, dc.method.inner_rate, dc.method.inner_batch) == (10, 50, 0.01, 256)
    dsa = plan("dsa", large, settings={**quick, "per_class": 1})
    assert (dsa.settings.steps, dsa.settings.init, dsa.settings.lr) == (1000, "random", 0.1)
    assert dsa.settings.augment.startswith("color_crop")
    assert plan("dc", toy, settings=quick).settings.steps == 200  # small media have loops of their own


@pytest.mark.parametrize("wrong", [{"outer": 0}, {"inner": -1}, {"inner_batch": 0}, {"inner_rate": 0.0}])
def test_loops_that_are_none_are_refused(toy, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        plan("dc", toy, settings={}, method_settings=wrong)
