"""What every method must satisfy; a new method is here by being in the folder."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
import torch

import limbeck
from limbeck.data.toy import make_toy
from limbeck.engine import run as run_module
from limbeck.engine.initial import initial_set
from limbeck.engine.loop import Loop
from limbeck.engine.paired import paired
from limbeck.engine.plan import plan
from limbeck.methods import methods

ALL = methods()
STEPPING = [name for name, method in ALL.items() if method.kind != "coreset"]
SETTINGS = {
    "per_class": 2, "kernels": "literal", "channels": 8, "threads": 1, "device": "cpu", "real_batch": 20,
    "group": 4, "real_group": 4,
}  # fmt: skip


SMALL = {
    "davdd": {"members": 2, "decouplers": 2, "hidden": 16},
    "dc": {"outer": 3, "inner": 2},
    "dsa": {"outer": 3, "inner": 2},
    "mtt": {"experts": 2},
    "imagebinddc": {"frequencies": 64},
    "mdm": {"experts": 2, "expert_epochs": 2, "expert_batch": 16},
    "mtt_vl": {"experts": 2, "expert_batch": 16},
    "tesla_wbce": {"experts": 2, "expert_batch": 16},
    "lors": {"experts": 2, "expert_batch": 16, "similarity_rate": 0.1},
}
"""Method settings that fit a toy: fewer networks to train first, and loops that a cut falls into."""
GENTLE = {"means": {"lr": 0.02}}
"""Rates by objective at which a step is not too long for a toy, where the method's own is."""


PAIRS = {
    "per_class": None, "pairs": 8, "tower": "convnet", "pretrained": "none", "validate": "none", "captions": "hashing",
}  # fmt: skip
"""Of methods that work by pairs only."""


def settings(name, **changes):
    steps = {} if ALL[name].kind == "coreset" else {"steps": 4}
    pairs = {} if "class" in ALL[name].by else PAIRS
    return {k: v for k, v in {**SETTINGS, **steps, **pairs, **changes}.items() if v is not None}


def distilled(name, data, out, **changes):
    return limbeck.distill(name, data, out=out, method_settings=SMALL.get(name), **changes)


def same(a, b):
    return all(torch.equal(a.values[k], v) for k, v in b.values.items())


def loop_of(toy, name, **changes):
    planned = plan(name, toy, settings=settings(name, **changes), method_settings=SMALL.get(name))
    base = paired(planned) if planned.by_pairs else None
    return Loop(planned, initial_set(toy, planned.settings, planned.numerics, {}, paired=base))


@pytest.mark.parametrize("name", ALL)
def test_it_says_what_it_is(name):
    card = ALL[name].card()
    assert card["name"] == name
    assert card["title"]
    assert card["description"]
    assert card["kind"] in ("coreset", "distillation", "control")
    assert set(card["by"]) <= {"class", "pairs", "bytes"}


@pytest.mark.parametrize("name", ALL)
def test_its_settings_are_documented(name):
    text = inspect.getdoc(ALL[name])
    for field in dataclasses.fields(ALL[name]):
        assert field.name in text, f"{name} does not say what {field.name} is"


@pytest.mark.parametrize("name", ALL)
def test_equal_seeds_equal_bits(toy, tmp_path, name):
    one = distilled(name, toy, tmp_path / "1", **settings(name))
    two = distilled(name, toy, tmp_path / "2", cache=False, **settings(name))
    other = distilled(name, toy, tmp_path / "3", **settings(name, seed=1))
    assert same(one, two)
    draws = ALL[name].kind != "coreset" or ALL[name].defaults["init"] in ("random", "forgetting", "grand", "kmeans")
    assert same(one, other) != draws


@pytest.mark.parametrize("name", ALL)
def test_the_result_is_balanced_labelled_and_finite(toy, tmp_path, name):
    done = distilled(name, toy, tmp_path / "1", **settings(name))
    if "class" in ALL[name].by:
        assert done.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    else:
        assert len(done) == ALL[name].stored_pairs(8)
    assert all(torch.isfinite(v).all() for v in done.values.values())
    assert done.provenance["method"] == name


@pytest.mark.parametrize("name", ALL)
def test_it_leaves_the_real_set_alone(toy, tmp_path, name):
    before = {m: toy.stored(m, np.arange(len(toy))) for m in toy.modalities}
    distilled(name, toy, tmp_path / "1", **settings(name))
    assert all(torch.equal(before[m], toy.stored(m, np.arange(len(toy)))) for m in before)


@pytest.mark.parametrize("name", STEPPING)
def test_it_lowers_its_own_loss(toy, name):
    """On the draws of one step, so that the fall is not the luck of the draw."""
    loop = loop_of(toy, name, momentum=0.0, **GENTLE.get(ALL[name].objective, {}))
    losses = []
    for _ in range(15):
        loop.step = 0
        losses.append(sum(next(loop.run(1)).terms.values()))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", [n for n in STEPPING if ALL[n].objective == "means"])
def test_it_leaves_encoders_alone(toy, name):
    loop = loop_of(toy, name)
    eye = loop.objective.eye(0)
    before = {m: {k: w.clone() for k, w in weights.items()} for m, weights in eye.weights.items()}
    loop.objective.eye = lambda _: eye
    next(loop.run(1))
    for m, weights in eye.weights.items():
        assert all(torch.equal(before[m][k], w) and not w.requires_grad for k, w in weights.items())


@pytest.mark.parametrize("name", [n for n in STEPPING if ALL[n].objective in ("means", "embeddings")])
@pytest.mark.parametrize("group", [1, 2, 3])
def test_groups_give_the_same_gradient(toy, name, group):
    def gradient(size):
        loop = loop_of(toy, name, group=size, real_group=size)
        loop.optimiser.step = lambda: None
        next(loop.run(1))
        return {k: v.grad for k, v in loop.synthetic.values.items()}

    whole, part = gradient(4), gradient(group)
    for k, v in whole.items():
        assert torch.allclose(v, part[k], atol=1e-5 * float(v.abs().max()))


@pytest.mark.parametrize("name", STEPPING)
def test_a_cut_run_resumes_to_the_same_bits(toy, tmp_path, monkeypatch, name):
    whole = distilled(name, toy, tmp_path / "whole", **settings(name))

    class Cut(Exception):
        pass

    def cut(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        if state.step == 2:
            raise Cut

    monkeypatch.setattr(run_module, "write_checkpoint", cut)
    with pytest.raises(Cut):
        distilled(name, toy, tmp_path / "cut", checkpoint_every=0, **settings(name))
    monkeypatch.undo()
    assert same(whole, limbeck.distill(name, out=tmp_path / "cut", resume=True))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("mix", [("image",), ("depth", "text"), ("image", "audio", "feature")])
def test_any_modalities(tmp_path, name, mix):
    store = make_toy(tmp_path / "store", modalities=mix, classes=3, per_class=(8, 2, 2))
    fewest, most = ALL[name].modalities
    fits = fewest <= len(mix) <= (most or 9)
    given = settings(name, per_class=1 if "class" in ALL[name].by else None, real_batch=8)
    if not fits:
        with pytest.raises(limbeck.errors.ConfigError, match=f"{name} needs"):
            distilled(name, store, tmp_path / "run", **given)
        return
    done = distilled(name, store, tmp_path / "run", **given)
    assert list(done.modalities) == list(mix)
