"""MTT's objective: a step is the paper's, step sizes stay positive, and nothing that is not finite reaches the set."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import pytest
import torch

import limbeck
from limbeck.data.toy import make_toy
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.plan import plan
from limbeck.errors import ConfigError, NumericsError, ResumeError
from limbeck.methods.mtt import MTT
from limbeck.synthetic import Budget
from tests.reference.mtt import literal_step

FEW = {"experts": 2, "expert_batch": 32}
SETTINGS = {"per_class": 2, "steps": 4, "group": 4, "real_group": 4}


def loop_of(toy, small, *, method=None, **changes):
    planned = plan("mtt", toy, settings={**small, **SETTINGS, **changes}, method_settings={**FEW, **(method or {})})
    return Loop(planned, initial_set(toy, planned.settings, planned.numerics, {}))


def gradients(loop, step=0):
    loop.step = step
    loop.optimiser.step = lambda: None
    next(loop.run(step + 1))
    return {name: value.grad.clone() for name, value in loop.synthetic.values.items()}


@pytest.mark.parametrize("factor", [1, 2])
def test_a_step_is_the_papers(toy, small, factor):
    method = {"step_size": (0.05,), "inner_steps": (4, 3), "inner_batch": (5, 3), "step_size_rate": 1e-7}
    loop = loop_of(toy, small, method=method, factor=factor)
    values, sizes = literal_step(loop, 0)
    before = {name: value.detach().clone() for name, value in loop.synthetic.values.items()}
    first = {name: float(size) for name, size in loop.objective.step_sizes.items()}
    next(loop.run(1))
    for name, value in loop.synthetic.values.items():
        moved = values[name] - before[name]
        assert float((value - values[name]).detach().norm() / moved.norm()) < 1e-5
        assert float((value - values[name]).detach().norm() / values[name].norm()) < 1e-6
        change = sizes[name] - first[name]
        assert abs(change) > 1e-3 * 1e-7
        assert float(loop.objective.step_sizes[name]) - first[name] == pytest.approx(change, rel=1e-4)


def test_unrolling_gives_the_same_step(toy, small):
    one, two = (loop_of(toy, small, method={"gradient": g, "step_size": (0.05,)}) for g in ("exact", "unroll"))
    ours, full = gradients(one), gradients(two)
    for name, whole in full.items():
        assert float((ours[name] - whole).norm() / whole.norm()) < 1e-5
        slopes = [float(loop.objective._steps.slopes[name]) for loop in (one, two)]
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-4)


def test_a_pair_is_each_modality_alone(toy, small):
    """Experts aside, whose grid would be another: the same students see the same draws."""
    loop = loop_of(toy, small)
    alone = {name: loop.objective.match(0, name) for name in loop.synthetic.values}
    together = gradients(loop)
    for name, (found, terms) in alone.items():
        assert torch.equal(found.inputs[0], together[name])
        assert list(terms) == [name]


def test_batches_go_round_the_decoded_set(toy, small):
    loop = loop_of(toy, small, method={"inner_steps": (5,), "inner_batch": (12,)}, factor=2)
    batches = loop.objective.batches(0, "audio")
    assert [len(b.place) for b in batches] == [12, 12, 8, 12, 12]
    seen = [(int(b.rows[p]), int(c)) for b in batches[:3] for p, c in zip(b.place, b.cell, strict=True)]
    assert sorted(seen) == [(item, cell) for item in range(8) for cell in range(4)]
    for b in batches:
        assert len(set(b.rows.tolist())) == len(b.rows)
        assert b.labels.tolist() == loop.synthetic.labels[b.rows[b.place]].tolist()
        assert len(b.draw.uniforms) == len(b.place)
    other = loop.objective.batches(1, "audio")
    assert any(a.place.tolist() != b.place.tolist() for a, b in zip(batches, other, strict=True))


def test_a_batch_larger_than_the_set_is_the_set(toy, small):
    loop = loop_of(toy, small, method={"inner_batch": (500,)})
    assert all(sorted(b.rows[b.place].tolist()) == list(range(8)) for b in loop.objective.batches(0, "image"))
    assert loop.objective.items_per_step == 10 * 8


def test_draws_cover_experts_and_starts(toy, small):
    loop = loop_of(toy, small, method={"max_start_epoch": 3, "expert_epochs": 2})
    bank = loop.objective.bank
    assert bank.epochs == 4  # the last that a target can be
    drawn = set()
    for step in range(40):
        start, target = loop.objective.drawn(step, "audio")
        for expert in range(2):
            for epoch in range(3):
                if torch.equal(start, bank.snapshot("audio", expert, epoch)):
                    assert torch.equal(target, bank.snapshot("audio", expert, epoch + 2))
                    drawn.add((expert, epoch))
    assert drawn == {(m, e) for m in range(2) for e in range(3)}


def test_step_sizes_are_learnt_and_stay_positive(toy, small):
    """At a rate at which the published step would have crossed zero at once."""
    loop = loop_of(toy, small, method={"step_size": (3.0,), "step_size_rate": 1e3})
    sizes = [3.0, *(float(loop.objective.step_sizes["audio"]) for _ in loop.run(6))]
    assert all(size > 0 for size in sizes)
    ratios = [b / a for a, b in pairwise(sizes)]
    assert all(0.5 - 1e-9 <= r <= 2 + 1e-9 for r in ratios)
    assert any(r in (pytest.approx(0.5), pytest.approx(2.0)) for r in ratios)  # the cap did hold it


def test_a_short_step_of_the_step_size_is_sgd_with_momentum(toy, small):
    loop = loop_of(toy, small, method={"step_size": (0.05,), "step_size_rate": 1e-10})
    size, buffer = 0.05, 0.0
    for _ in loop.run(3):
        buffer = 0.5 * buffer + float(loop.objective._steps.slopes["audio"])
        size -= 1e-10 * buffer
        assert float(loop.objective.step_sizes["audio"]) == pytest.approx(size, rel=1e-9)
    assert abs(size - 0.05) > 1e-10


def test_a_rate_of_zero_leaves_the_step_size(toy, small):
    loop = loop_of(toy, small, method={"step_size_rate": 0.0})
    list(loop.run(2))
    assert float(loop.objective.step_sizes["audio"]) == 1e-3
    assert float(loop.objective.step_sizes["image"]) == 1e-4


def test_the_set_carries_its_step_sizes(toy, small, tmp_path):
    done = limbeck.distill("mtt", toy, out=tmp_path / "run", method_settings=FEW, **{**small, **SETTINGS})
    again = limbeck.load(tmp_path / "run")
    assert set(again.provenance["step_sizes"]) == {"audio", "image"}
    assert again.provenance["step_sizes"] == done.provenance["step_sizes"]
    assert again.provenance["step_sizes"]["audio"] != 1e-3


def test_what_a_checkpoint_keeps_comes_back(toy, small):
    one, two = loop_of(toy, small), loop_of(toy, small)
    list(one.run(2))
    two.objective.restore(one.objective.state())
    assert all(torch.equal(a, two.objective.state()[k]) for k, a in one.objective.state().items())
    with pytest.raises(ResumeError, match="step sizes"):
        two.objective.restore({})
    with pytest.raises(ResumeError, match="step sizes"):
        two.objective.restore({**one.objective.state(), "more": torch.zeros(())})


def test_an_inner_step_that_diverges_names_itself_before_the_set_is_touched(toy, small):
    loop = loop_of(toy, small, method={"step_size": (1e38,)})
    before = {name: value.detach().clone() for name, value in loop.synthetic.values.items()}
    with pytest.raises(NumericsError, match="inner step") as error:
        next(loop.run(1))
    assert "step 0, " in str(error.value)
    assert all(torch.equal(value, loop.synthetic.values[name]) for name, value in before.items())
    assert all(float(size) == pytest.approx(1e38) for size in loop.objective.step_sizes.values())


def test_networks_are_literal_whatever_the_runs_kernels(toy, small):
    loop = loop_of(toy, {**small, "precision": "bf16"})
    encoders = [e for s in loop.objective.students.values() for e in s.encoders.values()]
    assert {(e.kernels, e.precision) for e in encoders} == {("literal", "fp32")}


def test_a_rehearsal_trains_no_expert(toy, small, monkeypatch, tmp_path):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    planned = plan("mtt", toy, settings={**small, **SETTINGS})
    loop = Loop(planned, initial_set(toy, planned.settings, planned.numerics, {}), rehearse=True)
    next(loop.run(1))
    assert not list(tmp_path.rglob("expert-*"))


def test_vectors_have_experts_too(tmp_path, small):
    store = make_toy(tmp_path / "store", modalities=("feature",), classes=3, per_class=(8, 2, 2))
    loop = loop_of(store, small, method={"inner_batch": (2,)}, per_class=1)
    assert all(batch.draw is None for batch in loop.objective.batches(0, "feature"))
    assert math.isfinite(next(loop.run(1)).terms["feature"])


@pytest.mark.parametrize(
    ("per_class", "steps", "batches", "multiples"),
    [
        (1, (10, 5), (20, 5), (1, 1)),
        (3, (10, 5), (20, 5), (1, 1)),
        (4, (10, 5), (20, 5), (1, 10)),
        (10, (10, 5), (20, 5), (1, 10)),
        (20, (10, 10), (10, 5), (10, 0.01)),
        (50, (10, 10), (10, 5), (10, 0.01)),
    ],
)
def test_the_published_settings(toy, per_class, steps, batches, multiples):
    """AVDD, Table 9, VGGS-10K."""
    method = MTT().for_budget(Budget(per_class=per_class))
    sound, picture = toy.modalities["audio"], toy.modalities["image"]
    assert (method.steps(sound), method.steps(picture)) == steps
    assert (method.batch(sound), method.batch(picture)) == batches
    assert (method.rate_multiple(sound), method.rate_multiple(picture)) == pytest.approx(multiples)
    assert (method.first_step_size(sound), method.first_step_size(picture)) == (1e-3, 1e-4)
    assert MTT.defaults["lr"] == 1000
    assert (method.experts, method.expert_epochs, method.max_start_epoch, method.step_size_rate) == (20, 2, 2, 1e-5)


def test_what_is_told_stands():
    method = MTT(inner_steps=(7,), inner_batch=(3, 4)).for_budget(Budget(per_class=1))
    assert method.inner_steps == (7, 7)
    assert method.inner_batch == (3, 4)
    assert dataclasses.replace(method).for_budget(Budget(per_class=20)) == method


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_steps": (0,)}, "inner_steps"),
        ({"inner_batch": (1, 2, 3)}, "inner_batch"),
        ({"step_size": (-1e-3,)}, "step_size"),
        ({"pixel_multiple": (float("nan"),)}, "pixel_multiple"),
        ({"experts": 0}, "experts"),
        ({"max_start_epoch": 0}, "max_start_epoch"),
        ({"expert_rate": 0.0}, "expert_rate"),
        ({"step_size_rate": -1.0}, "step_size_rate"),
        ({"gradient": "tesla"}, "gradient"),
        ({"inner_step": (3,)}, "Did you mean 'inner_steps'"),
    ],
)
def test_bad_method_settings(toy, small, settings, message):
    with pytest.raises(ConfigError, match=message):
        plan("mtt", toy, settings={**small, **SETTINGS}, method_settings=settings)
