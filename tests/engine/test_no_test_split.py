"""What is made from a real set is made from its training split: other validation and test items change no bit."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import limbeck
from limbeck.banks import contrastive
from tests.evaluation.paired_toy import paired_store

RUN = {"pairs": 8, "captions": "hashing", "channels": 8, "threads": 1, "device": "cpu", "kernels": "literal"}
STEPS = {"steps": 2, "validate": "none", "real_batch": 8}
FEW = {"experts": 2, "expert_batch": 8}
METHODS = {
    "mdm": (STEPS, {**FEW, "expert_epochs": 2}),
    "lors": (STEPS, {**FEW, "similarity_rate": 0.1}),
    "herding": ({}, {}),
    "kcenter": ({}, {}),
    "forgetting": ({}, {}),
    "kmeans": ({}, {}),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    splits = ({"train": 3, "validation": 1, "test": 2}, {"train": 3, "validation": 2, "test": 3})
    return [paired_store(tmp_path_factory.mktemp("concepts") / "store", side=16, each=each) for each in splits]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("tower", ["convnet", "patches"])
def test_other_test_items_change_no_bit(stores, tmp_path, monkeypatch, name, tower):
    short = dataclasses.replace(contrastive.COPY_RECIPE, epochs=1, drops=())
    monkeypatch.setattr(contrastive, "COPY_RECIPE", short)
    given, own = METHODS[name]
    one, two = (
        limbeck.distill(name, store, out=tmp_path / f"{k}", method_settings=own, **RUN, **given, tower=tower)
        for k, store in enumerate(stores)
    )
    assert stores[0].data_hash != stores[1].data_hash
    assert one.provenance["encoders"] == two.provenance["encoders"]  # with what they start from
    assert one.provenance.get("step_sizes") == two.provenance.get("step_sizes")
    assert all(torch.equal(v, two.values[k]) for k, v in one.values.items())
