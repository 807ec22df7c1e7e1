"""DAVDD through the engine: the literal twin, the ablation's switches, whole-class statistics."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.engine.estimate import estimate
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.objectives import means
from limbeck.engine.plan import plan
from limbeck.errors import ConfigError
from limbeck.methods.davdd import DAVDD
from tests.reference.davdd import literal_run

BANK = {"members": 2, "decouplers": 2, "hidden": 16}
"""As the contract suite's, so that it is trained once."""


def make(toy, small, *, cache=None, method=(), **settings):
    given = {**small, "init": "random", "group": 4, "real_group": 4, "draws": 3, "per_class": 2, **settings}
    planned = plan("davdd", toy, settings=given, method_settings={**BANK, **dict(method)})
    return Loop(planned, initial_set(toy, planned.settings, planned.numerics, {}), cache)


def after(loop, steps):
    for _ in loop.run(steps):
        pass
    return {name: v.detach().clone() for name, v in loop.synthetic.values.items()}


@pytest.mark.parametrize("statistics", ["batch", "class"])
@pytest.mark.parametrize("joint", [40.0, 0.0])
def test_the_loop_takes_the_papers_steps(toy, small, statistics, joint):
    loop = make(toy, small, lr=1e-4, real_statistics=statistics, method={"joint": joint})
    start = {name: v.detach().clone() for name, v in loop.synthetic.values.items()}
    theirs = literal_run(loop, 4, private=80.0, shared=40.0, joint=joint)
    for name, value in after(loop, 4).items():
        moved = (theirs[name] - start[name]).abs().max()
        assert moved > 1e-3
        assert (value - theirs[name]).abs().max() < 2e-4 * moved, name


def test_without_common_terms_no_decoupler_is_made(toy, small):
    loop = make(toy, small, method={"common": 0.0, "joint": 0.0})
    assert loop.objective.eyes.decouplers is None
    assert list(next(loop.run(1)).terms) == ["private"]
    assert list(next(make(toy, small, method={"private": 0.0}).run(1)).terms) == ["common", "joint"]


def test_whole_class_statistics_are_computed_once_for_all_runs(toy, small, tmp_path, monkeypatch):
    looked = []
    original = means.real_means
    monkeypatch.setattr(means, "real_means", lambda *a: (looked.append(a[1].slot), original(*a))[1])
    first = make(toy, small, cache=tmp_path, real_statistics="class", seed=1)
    after(first, 40)
    assert len(looked) == len(set(looked)) <= 2 * 2 * 3
    known = len(looked)
    second = make(toy, small, cache=tmp_path, real_statistics="class", seed=2, per_class=1)
    after(second, 40)
    assert len(looked) - known <= 2 * 2 * 3 - known, "what one run computed, another one reads"
    assert second.objective.cache_bytes == second.objective.cache.record_bytes * 12


@pytest.mark.parametrize("statistics", ["batch", "class"])
def test_runs_on_more_decouplers_find_no_means_of_another_one(toy, small, tmp_path, statistics):
    given = {"real_statistics": statistics, "lr": 1e-3}
    after(make(toy, small, cache=tmp_path, method={"decouplers": 1}, **given), 8)
    kept = make(toy, small, cache=tmp_path, **given)
    found, fresh = after(kept, 8), after(make(toy, small, **given), 8)
    assert all(torch.equal(found[name], value) for name, value in fresh.items())


def test_whole_class_means_are_means_over_the_class(toy, small, monkeypatch):
    from limbeck.engine import views

    monkeypatch.setattr(views, "WHOLE", 7)  # 20 items a class: chunks of several sizes
    seen = make(toy, small, real_statistics="class", augment="").objective
    eye = seen.eye(0)
    found = seen.real(eye)
    rows = toy.rows("train", 2)
    z = seen.encoders["audio"].embed(eye.weights["audio"], toy.batch("audio", np.asarray(rows)))
    assert torch.allclose(found["audio"][2], z.mean(0), atol=1e-5)
    assert torch.allclose(found["audio/common"][2], eye.project("audio", z).mean(0), atol=1e-5)


def test_estimating_trains_nothing(toy, small, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    planned = plan("davdd", toy, settings={**small, "per_class": 1, "steps": 9, "group": 4, "real_group": 4})
    about = estimate(planned)
    assert about["seconds"] > 0
    assert any("40 pairs" in stage and "4 decouplers" in stage for stage in about["first"])
    assert not (tmp_path / "banks").exists()
    assert about["first"][-1].endswith("for the pairs")
    assert " about " in about["first"][-1]


def test_the_training_of_a_bank_is_estimated_from_a_few_batches(toy, small):
    from limbeck.banks.pairs import BANK_RECIPE
    from limbeck.engine.rehearsed_training import training_seconds

    planned = plan("davdd", toy, settings={**small, "per_class": 1, "steps": 9, "group": 4, "real_group": 4})
    one, forty = (training_seconds(planned, BANK_RECIPE, members, 30) for members in (1, 40))
    assert 10 < forty / one < 160


@pytest.mark.parametrize(
    "bad", [{"private": -1.0}, {"private": 0.0, "common": 0.0, "joint": 0.0}, {"members": 0}, {"joint": float("inf")}]
)
def test_settings_that_do_not_fit_are_told(bad):
    with pytest.raises(ConfigError):
        dataclasses.replace(DAVDD(), **bad)
