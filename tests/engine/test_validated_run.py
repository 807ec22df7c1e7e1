"""Runs by pairs whose step the validation split chooses: cut ones go on to the same, and each set kept says what was
learnt with it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import limbeck
from limbeck.banks import contrastive
from limbeck.engine import run as run_module
from limbeck.errors import ResumeError
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.files import read_json
from limbeck.synthetic import SyntheticSet
from tests.evaluation.paired_toy import paired_store

METHODS = {
    "mdm": {"experts": 2, "expert_epochs": 2, "expert_batch": 16},
    "lors": {"experts": 2, "expert_batch": 16, "similarity_rate": 0.1, "step_size_rate": 1e-3},
}
RUN = {
    "pairs": 8, "tower": "convnet", "pretrained": "none", "captions": "hashing", "channels": 8, "threads": 1,
    "device": "cpu", "kernels": "literal", "real_batch": 16, "steps": 7, "validate_every": 2, "patience": 9, "lr": 5.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return paired_store(tmp_path_factory.mktemp("concepts") / "store")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    own = PROTOCOLS["retrieval-mdm"]
    recipe = dataclasses.replace(own.recipe, epochs=3)
    monkeypatch.setitem(PROTOCOLS, own.name, dataclasses.replace(own, recipe=recipe))


class Cut(Exception):
    """A kill."""


def distilled(name, store, out, **changes):
    return limbeck.distill(name, store, out=out, method_settings=METHODS[name], **{**RUN, **changes})


def same(a, b):
    assert a.provenance["steps_done"] == b.provenance["steps_done"]
    assert a.provenance.get("step_sizes") == b.provenance.get("step_sizes")
    assert all(torch.equal(v, b.values[k]) for k, v in a.values.items())
    if a.similarity is not None:
        assert torch.equal(a.similarity.full(), b.similarity.full())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("kept", "killed"), [(3, 3), (1, 5), (4, 6)])
def test_a_cut_run_chooses_the_same_step(store, tmp_path, monkeypatch, name, kept, killed):
    whole = distilled(name, store, tmp_path / "whole")
    original, loop = run_module.write_checkpoint, run_module.Loop.run

    def write(folder, state):
        if state.step <= kept:
            original(folder, state)

    def run(self, steps):
        for found in loop(self, steps):
            yield found
            if found.step == killed:
                raise Cut

    monkeypatch.setattr(run_module, "write_checkpoint", write)
    monkeypatch.setattr(run_module.Loop, "run", run)
    with pytest.raises(Cut):
        distilled(name, store, tmp_path / "cut", checkpoint_every=0)
    monkeypatch.setattr(run_module, "write_checkpoint", original)
    monkeypatch.setattr(run_module.Loop, "run", loop)
    again = limbeck.distill(name, out=tmp_path / "cut", resume=True)
    looks = [read_json(tmp_path / folder / "validation.json")["looks"] for folder in ("whole", "cut")]
    assert looks[0] == looks[1]
    assert [look["step"] for look in looks[0]] == [0, 2, 4, 6, 7]
    same(whole, again)


def test_a_resumed_run_never_goes_back_behind_its_best(store, tmp_path, monkeypatch):
    """The set it would have to go back to is no longer there, and where bits are not the same it may be wanted."""
    loop, scores = run_module.Loop.run, iter([1.0, 2.0, 9.0, 1.5, 1.4])

    def run(self, steps):
        for found in loop(self, steps):
            yield found
            if found.step == 5:
                raise Cut

    monkeypatch.setattr(run_module, "judge_for", lambda *_, **__: lambda _: {"Mean": next(scores)})
    monkeypatch.setattr(run_module.Loop, "run", run)
    with pytest.raises(Cut):
        distilled("mdm", store, tmp_path / "run", checkpoint_every=3600)
    monkeypatch.setattr(run_module.Loop, "run", loop)
    done = limbeck.distill("mdm", out=tmp_path / "run", resume=True)
    assert done.provenance["steps_done"] == 4
    assert [look["step"] for look in read_json(tmp_path / "run" / "validation.json")["looks"]] == [0, 2, 4, 6, 7]


def test_other_towers_than_the_run_began_with_are_refused(store, tmp_path, monkeypatch):
    short = dataclasses.replace(contrastive.COPY_RECIPE, epochs=1, drops=())
    monkeypatch.setattr(contrastive, "COPY_RECIPE", short)

    def cut(folder, state, write=run_module.write_checkpoint):
        write(folder, state)
        raise Cut

    with monkeypatch.context() as now:
        now.setattr(run_module, "write_checkpoint", cut)
        with pytest.raises(Cut):
            distilled("mdm", store, tmp_path / "run", checkpoint_every=0, pretrained="auto", validate="none")
    with monkeypatch.context() as now:
        now.setattr(contrastive, "COPY_RECIPE", dataclasses.replace(short, rates=0.02))
        with pytest.raises(ResumeError, match="networks are not what"):
            limbeck.distill("mdm", out=tmp_path / "run", resume=True)
    assert limbeck.distill("mdm", out=tmp_path / "run", resume=True).provenance["steps_done"] == 7


@pytest.mark.parametrize("validate", ["none", "auto"])
def test_a_snapshot_has_the_step_sizes_of_its_step(store, tmp_path, validate):
    distilled("lors", store, tmp_path / "run", validate=validate, snapshots=3)
    for step in (3, 6):
        distilled("lors", store, tmp_path / f"{step}", validate="none", steps=step)
        found, wanted = (SyntheticSet.load(tmp_path / p) for p in (f"run/snapshots/{step}", f"{step}/synthetic"))
        same(found, wanted)
        assert wanted.provenance["step_sizes"]["image"] != 0.1
