"""Class-wise retrieval: ranks, chance, the protocol end to end."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import limbeck
from limbeck.cli import main
from limbeck.errors import ConfigError, DataError, ShapeError
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.evaluation.retrieval import (
    class_chances,
    embed_test,
    evaluate_retrieval,
    first_hits,
    rank,
    top_matches,
)
from limbeck.training import Recipe
from tests.evaluation.test_recognition import picks
from tests.reference import retrieval as literal

WAYS = ("image->audio", "audio->image")
MACHINE = {"device": "cpu", "kernels": "literal", "threads": 1, "channels": 8}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(epochs=8, rates={"image": 1e-3, "audio": 1e-3, "text": 1e-3}, head_rate=1e-3, drops=(6,))
    own = PROTOCOLS["retrieval-class"]
    monkeypatch.setitem(PROTOCOLS, "retrieval-class", dataclasses.replace(own, version=99, recipe=recipe))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10**6))
def test_ranks_are_those_of_brute_force(n: int, width: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    queries, gallery = (torch.randn(n, width, generator=g, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(0, 3, (n,), generator=g)
    order = rank(queries, gallery)
    if width > 1:  # a line has only two directions: everything is a tie
        assert order.tolist() == [literal.ranking(q, gallery) for q in queries]
        places = first_hits(order, labels, labels).double()
        found = {f"R@{k}": 100 * float((places <= k).double().mean()) for k in (1, 5)}
        expected = literal.scores(queries, gallery, labels.tolist())
        assert found | {"MedR": float(np.median(places))} == pytest.approx(expected)
    assert top_matches(queries, gallery, 3).tolist() == order[:, :3].tolist()


def test_of_equals_the_first_comes_first() -> None:
    gallery = torch.tensor([[0.0, 2.0], [1.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    assert rank(torch.tensor([[5.0, 0.0], [0.0, 1.0]]), gallery).tolist() == [[1, 2, 0, 3], [0, 3, 1, 2]]
    assert rank(torch.zeros(1, 2), gallery).tolist() == [[0, 1, 2, 3]]  # nothing is like nothing


def test_hits_are_by_class() -> None:
    order = torch.tensor([[2, 0, 1], [0, 1, 2]])
    assert first_hits(order, torch.tensor([0, 1]), torch.tensor([0, 1, 1])).tolist() == [2, 2]
    with pytest.raises(DataError, match="no item in the gallery"):
        first_hits(order, torch.tensor([0, 4]), torch.tensor([0, 1, 1]))
    with pytest.raises(ShapeError):
        rank(torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.mark.parametrize("sizes", [(5,) * 10, (5, 5, 2, 1), (1,), (3, 4)])
def test_chance_is_what_random_orders_give(sizes: tuple[int, ...]) -> None:
    labels = [c for c, n in enumerate(sizes) for _ in range(n)]
    found = class_chances(torch.tensor(labels))
    expected = literal.simulated_chances(labels, 3000, seed=1)
    assert found["R@1"] == pytest.approx(sum((n / len(labels)) ** 2 for n in sizes) * 100)
    for k in ("R@1", "R@5"):
        assert found[k] == pytest.approx(expected[k], abs=2)
    assert found["MedR"] == expected["MedR"]


def test_the_protocol_end_to_end(toy: Any) -> None:
    found = evaluate_retrieval(picks(toy, 10), toy, seeds=[0, 1], channels=8).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    metrics = [f"{way} {what}" for way in WAYS for what in ("R@1", "R@5", "MedR")]
    assert found["metrics"] == metrics
    assert set(found["mean"]) == set(found["chances"]) == set(found["units"]) == set(metrics)
    assert found["protocol"] == "retrieval-class"
    assert (found["chance"], found["majority"], found["confusion"]) == (None, None, None)
    assert found["settings"]["fusion"] == "arcface"
    assert found["settings"]["per_class"] == 5
    assert found["settings"]["short_classes"] == {}
    for way in WAYS:
        assert found["units"][f"{way} R@1"] == "%"
        assert found["units"][f"{way} MedR"] == "rank"
        assert found["mean"][f"{way} R@1"] > 1.3 * found["chances"][f"{way} R@1"]
        assert found["mean"][f"{way} MedR"] <= found["chances"][f"{way} MedR"]
        assert found["mean"][f"{way} R@5"] >= found["mean"][f"{way} R@1"]
    again = evaluate_retrieval(picks(toy, 10), toy, seeds=[1], channels=8).to_dict()
    assert again["runs"][0] == found["runs"][1]


def test_classes_with_few_test_items_are_named(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.evaluation.retrieval.PER_CLASS", 6)
    found = evaluate_retrieval(picks(toy, 1), toy, seeds=[0], channels=8).to_dict()
    assert found["settings"]["short_classes"] == dict.fromkeys(toy.classes, 5)
    assert found["settings"]["test_items"] == 20


def test_the_subset_is_fixed_and_of_so_many_a_class(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.evaluation.retrieval.PER_CLASS", 2)
    one, two = (embed_test(picks(toy, 1), toy, seeds=[seed], channels=8) for seed in (0, 7))
    assert one.rows.tolist() == two.rows.tolist()
    assert one.labels.bincount().tolist() == [2, 2, 2, 2]
    assert one.labels.tolist() == [int(toy.labels[row]) for row in one.rows]
    assert not torch.equal(one.features["image"], two.features["image"])
    for features in one.features.values():
        torch.testing.assert_close(features.norm(dim=1), torch.ones(8))
    assert top_matches(one.features["audio"], one.features["image"], 3).shape == (8, 3)


def test_any_two_modalities_and_no_other_number(toy: Any, tmp_path: Any) -> None:
    from limbeck.data.toy import make_toy

    with pytest.raises(ConfigError, match="between two modalities; here are image"):
        evaluate_retrieval(picks(toy, 1), toy, seeds=[0], channels=8, modalities=["image"])
    with pytest.raises(ConfigError, match="its own classifier"):
        evaluate_retrieval(picks(toy, 1), toy, seeds=[0], channels=8, fusion="sum")
    three = make_toy(tmp_path / "three", modalities=("image", "audio", "text"), per_class=(4, 2, 2))
    with pytest.raises(ConfigError, match="here are image, audio, text"):
        evaluate_retrieval(picks(three, 1), three, seeds=[0], channels=8)
    found = evaluate_retrieval(picks(three, 1), three, seeds=[0], channels=8, modalities=["text", "image"]).to_dict()
    assert "text->image R@1" in found["mean"]
    assert found["settings"]["short_classes"] == dict.fromkeys(three.classes, 2)


def test_a_run_is_scored_by_retrieval_in_the_terminal(toy: Any, tmp_path: Any, capsys: Any) -> None:
    limbeck.distill("random", toy, out=tmp_path / "run", per_class=2, kernels="literal", channels=8)
    found = limbeck.evaluate(tmp_path / "run", protocol="retrieval-class", seeds=[0, 1], whole=True, **MACHINE)
    assert (tmp_path / "run" / "results" / "retrieval-class-test-convnet.json").exists()
    assert found["whole"]["mean"].keys() == found["mean"].keys()
    arguments = ["--protocol", "retrieval-class", "--seeds", "0:2", "--kernels", "literal", "--channels", "8"]
    assert main(["evaluate", str(tmp_path / "run"), *arguments, "--threads", "1", "--device", "cpu"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "rank" in said
    assert f"{found['mean']['image->audio R@1']:.1f}" in said
