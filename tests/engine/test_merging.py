"""Which experts a run by pairs asks for, and when it asks for none."""

from __future__ import annotations

import pytest
import torch

from limbeck.banks.pair_experts import PairExperts
from limbeck.data.toy import make_toy
from limbeck.engine.merging import clustering_network, merged_pool
from limbeck.engine.paired import Paired
from limbeck.engine.plan import plan
from limbeck.rng import stream

SETTINGS = {"pairs": 4, "tower": "convnet", "pretrained": "none", "captions": "hashing", "validate": "none"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy") / "store", modalities=("image", "text"), image_size=8)


@pytest.fixture
def asked(monkeypatch):
    """What experts were asked for; nobody trains them."""
    found, build = [], PairExperts.build

    def noted(pairs, towers, **wanted):
        found.append(wanted)
        return build(pairs, towers, **{**wanted, "rehearse": True})

    monkeypatch.setattr(PairExperts, "build", noted)
    return found


def planned(store, small, method="mdm", own=None, **changes):
    return plan(method, store, settings={**small, **SETTINGS, **changes}, method_settings=own or {})


def test_experts_are_the_methods(store, small, asked):
    own = planned(store, small, own={"experts": 3, "expert_epochs": 2, "expert_rate": 0.05, "expert_batch": 32})
    pool = merged_pool(own, Paired(own))
    assert {**asked[0], "recipe": None} == {
        "experts": 3, "epochs": 2, "recipe": None, "half": False, "device": "cpu", "progress": False, "rehearse": False
    }  # fmt: skip
    recipe = asked[0]["recipe"]
    assert (recipe.rates, recipe.batch, recipe.momentum, recipe.augment) == (0.05, 32, 0.0, "randaugment")
    assert all(w.isfinite().all() for own in pool.weights(stream(0)).values() for w in own.values())


def test_the_pretrained_network_needs_no_expert(store, small, asked):
    own = planned(store, small, own={"model": "pretrained"})
    merged_pool(own, Paired(own)).weights(stream(0))
    clustering_network(own, Paired(own), model="pretrained")
    assert asked == []


def test_a_rehearsal_takes_few_and_trains_none(store, small, asked):
    own = planned(store, small, own={"experts_per_merge": 3}, pretrained="auto")
    pool = merged_pool(own, Paired(own, rehearse=True), rehearse=True)
    assert (asked[0]["experts"], asked[0]["epochs"], asked[0]["rehearse"]) == (3, 1, True)
    assert pool.towers.towers["image"].pretrained  # as the run's will be
    assert not pool.towers.towers["text"].pretrained


def test_k_means_sees_one_merged_network_whatever_the_steps_see(store, small, asked):
    found = []
    for model in ("merged", "expert"):
        own = planned(store, small, own={"model": model, "experts": 2, "expert_epochs": 2})
        found.append(clustering_network(own, Paired(own), model="merged"))
    assert all(torch.equal(w, found[1][name][k]) for name, own in found[0].items() for k, w in own.items())
    other = planned(store, small, own={"experts": 2, "expert_epochs": 2}, seed=1)
    again = clustering_network(other, Paired(other), model="merged")
    assert not torch.equal(again["text"]["1.weight"], found[0]["text"]["1.weight"])
    assert len(asked) == 3


def test_another_method_gets_mdms_own_experts(store, small, asked):
    own = planned(store, small, "random")
    clustering_network(own, Paired(own), model="merged")
    assert (asked[0]["experts"], asked[0]["epochs"]) == (20, 10)
