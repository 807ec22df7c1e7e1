"""Retrieval by pairs end to end: the literal way, what belongs to a set, which epoch is scored."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from limbeck.data.pairs import Pairs
from limbeck.evaluation.judge import Judge
from limbeck.evaluation.pairs import evaluate_pairs
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.rng import key, stream
from limbeck.synthetic.similarity import Factors, Similarity
from limbeck.training.pair_data import SyntheticPairs
from tests.evaluation.paired_toy import chosen_pairs, paired_store
from tests.reference.pairs import LiteralConv, LiteralHead, literal_train
from tests.reference.recall import sorted_recall

STARTS = {"convnet": {"pretrained": "none"}}
BY_PAIRS = ("retrieval-vld", "retrieval-lors", "retrieval-mdm", "retrieval-frozen-heads")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return paired_store(tmp_path_factory.mktemp("concepts") / "store")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BY_PAIRS:
        own = PROTOCOLS[name]
        recipe = dataclasses.replace(own.recipe, epochs=12, drops=tuple(8 for _ in own.recipe.drops))
        monkeypatch.setitem(PROTOCOLS, name, dataclasses.replace(own, recipe=recipe))


def score(synthetic: Any, store: Any, protocol: str = "retrieval-frozen-heads", **settings: Any) -> dict[str, Any]:
    told = {"seeds": [0, 1], "channels": 8, "captions": "hashing", "towers_of": STARTS, **settings}
    found = evaluate_pairs(synthetic, store, protocol=protocol, **told).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    return found


def learnt(synthetic: Any, alpha: float = 2.0) -> Any:
    """The set with a similarity and step sizes of its own."""
    n, draw = len(synthetic), stream(0, "test")
    factors = Factors(torch.full((n,), 0.8), *(torch.randn(n, 2, generator=draw) for _ in range(2)))
    about = {**synthetic.provenance, "step_sizes": {"image": 0.02, "text": 0.3}}
    return dataclasses.replace(synthetic, similarity=Similarity(factors, alpha), provenance=about)


def literal_scores(trained: Any, recipe: Any, towers: Any, synthetic: Any, store: Any, seed: int) -> dict[str, float]:
    """Modules, an optimiser's own loop, a sort for each row."""
    start = towers.init(lambda name: stream(key(seed, "student"), "pairs", "init", name))
    kinds = {"image": lambda w: LiteralConv(towers.towers["image"].trained, w), "text": LiteralHead}
    frozen = towers.towers["image"].frozen is not None
    modules: Any = {n: (LiteralHead if frozen else kinds[n])(w) for n, w in start.items()}
    lift = {name: tower.lift for name, tower in towers.towers.items()}
    literal_train(modules, lift, SyntheticPairs(synthetic), recipe, key(seed, "student"), trained)
    test = Pairs.of(store, "test", captions="hashing")
    seen = {"image": test.firsts(range(len(test.items))), "text": test.seconds(range(len(test)))}
    with torch.no_grad():
        a, b = (torch.nn.functional.normalize(modules[n](lift[n](x), 1.0).double()) for n, x in seen.items())
    return sorted_recall((a @ b.T).numpy(), test.owner)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("protocol", ["retrieval-lors", "retrieval-vld", "retrieval-frozen-heads"])
@pytest.mark.parametrize("published", [False, True])
def test_a_score_is_that_of_a_plain_script(store: Any, protocol: str, published: bool) -> None:
    from limbeck.banks.towers import build_towers

    synthetic = learnt(chosen_pairs(store, range(0, 24, 2)))
    found = score(synthetic, store, protocol, seeds=[3], as_published=published)
    rules = PROTOCOLS[protocol]
    towers = build_towers(
        Pairs.of(store, "train", captions="hashing"), tower="convnet", pretrained="none", channels=8,
        frozen=rules.frozen,
    )  # fmt: skip
    recipe: Any = rules.recipe
    if published:
        text = 0.02 if protocol == "retrieval-vld" else 0.3  # which has one rate for both
        recipe = dataclasses.replace(recipe, rates={"image": 0.02, "text": text}, loss="weighted_bce")
    alike = synthetic.similarity.full() if published else None
    expected = literal_scores(alike, recipe, towers, synthetic, store, 3)
    assert found["runs"][0]["scores"] == pytest.approx(expected)
    assert found["as_published"] is published
    assert found["settings"]["similarity"] is published


def test_the_result_holds_every_number(store: Any) -> None:
    found = score(chosen_pairs(store, range(0, 48, 2)), store)
    names = ["IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "Mean"]
    assert found["metrics"] == names == list(found["mean"]) == list(found["chances"]) == list(found["binomial"])
    assert (found["protocol"], found["version"], found["selection"]) == ("retrieval-frozen-heads", 1, "last epoch")
    assert (found["items"], found["settings"]["test_items"], found["settings"]["test_pairs"]) == (16, 16, 33)
    assert found["settings"]["training_pairs"] == 24
    assert found["settings"]["epochs"] == {"convnet": [100, 100]}
    assert found["chances"]["IR@1"] == pytest.approx(100 / 16)
    assert found["mean"]["Mean"] > found["chances"]["Mean"] + 20  # concepts of the pairs are those of the test items
    for run in found["runs"]:
        assert run["scores"]["Mean"] == pytest.approx(sum(run["scores"][name] for name in names[:-1]) / 6)
    mean = found["mean"]["IR@5"]
    assert found["binomial"]["IR@5"] == pytest.approx((mean * (100 - mean) / 16) ** 0.5)


@pytest.mark.usefixtures("_quick")
def test_students_do_not_know_of_each_other(store: Any) -> None:
    synthetic = chosen_pairs(store, range(10))
    forth = score(synthetic, store, "retrieval-mdm", seeds=[0, 2])
    back = score(synthetic, store, "retrieval-mdm", seeds=[2, 0])
    alone = score(synthetic, store, "retrieval-mdm", seeds=[2])
    assert forth["runs"] == back["runs"][::-1]
    assert alone["runs"][0] == forth["runs"][1]
    assert forth["runs"][0]["scores"] != forth["runs"][1]["scores"]


@pytest.mark.usefixtures("_quick")
def test_what_a_set_has_learnt_counts_only_as_published(store: Any) -> None:
    plain = chosen_pairs(store, range(0, 24, 2))
    with_more = learnt(plain, alpha=8.0)
    first = score(plain, store, "retrieval-lors")
    assert score(with_more, store, "retrieval-lors")["runs"] == first["runs"]
    found = score(with_more, store, "retrieval-lors", as_published=True)
    assert found["runs"] != first["runs"]
    assert found["settings"]["rates"] == {"image": 0.02, "text": 0.3}
    nothing = score(plain, store, "retrieval-lors", as_published=True)
    assert nothing["runs"] == first["runs"]
    assert nothing["as_published"] is True
    assert nothing["settings"]["similarity"] is False
    tesla = dataclasses.replace(plain, provenance={**plain.provenance, "loss": "weighted_bce"})
    assert score(tesla, store, "retrieval-mdm", as_published=True)["settings"]["loss"] == "weighted_bce"
    assert score(tesla, store, "retrieval-mdm")["settings"]["loss"] == "info_nce"
    warm = dataclasses.replace(tesla, provenance={**tesla.provenance, "temperature": 0.3})
    first, found = (score(s, store, "retrieval-lors", as_published=True) for s in (tesla, warm))
    assert found["runs"] != first["runs"]
    assert (first["settings"].get("temperature"), found["settings"]["temperature"]) == (None, 0.3)


def test_which_epoch_is_scored(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = PROTOCOLS["retrieval-frozen-heads"]
    recipe = dataclasses.replace(own.recipe, epochs=14, rates=0.5, drops=())
    monkeypatch.setitem(PROTOCOLS, own.name, dataclasses.replace(own, recipe=recipe))
    synthetic = chosen_pairs(store, range(0, 48, 6))
    last = score(synthetic, store)
    seen = {}
    for epochs in (1, 11, 14):
        short = dataclasses.replace(own, recipe=dataclasses.replace(recipe, epochs=epochs))
        monkeypatch.setitem(PROTOCOLS, own.name, short)
        for split in ("validation", "test"):
            runs = score(synthetic, store, split=split)["runs"]
            seen[epochs, split] = {run["seed"]: run["scores"] for run in runs}
    monkeypatch.setitem(PROTOCOLS, own.name, dataclasses.replace(own, recipe=recipe))
    assert {run["seed"]: run["scores"] for run in last["runs"]} == seen[14, "test"]
    for select, split in (("validation", "validation"), ("test-oracle", "test")):
        found = score(synthetic, store, select=select)
        for seed, epochs in zip((0, 1), found["settings"]["epochs"]["convnet"], strict=True):
            best = max((1, 11, 14), key=lambda e: (seen[e, split][seed]["Mean"], -e))  # of equals the first
            assert epochs == best
            assert found["runs"][seed]["scores"] == seen[best, "test"][seed]
        assert select in found["selection"]
    assert "test" not in score(synthetic, store, select="validation")["selection"]


@pytest.mark.usefixtures("_quick")
def test_a_judge_scores_as_students_of_other_seeds_do(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.banks.towers import build_towers

    pairs = Pairs.of(store, "train", captions="hashing")
    towers = build_towers(pairs, tower="convnet", pretrained="none", channels=8, frozen=True)
    validation = Pairs.of(store, "validation", captions="hashing")
    judge = Judge(towers, validation, protocol="retrieval-frozen-heads", seeds=(4, 5))
    synthetic = learnt(chosen_pairs(store, range(0, 24, 2)))
    before = {name: value.clone() for name, value in synthetic.values.items()}
    synthetic.values = {name: value.requires_grad_() for name, value in synthetic.values.items()}
    found = judge(synthetic)
    assert all(torch.equal(synthetic.values[n], before[n]) and synthetic.values[n].grad is None for n in before)
    assert judge(synthetic) == found
    monkeypatch.setattr("limbeck.evaluation.pairs.key", lambda seed, _: key(seed, "judge"))
    assert score(synthetic, store, seeds=[4, 5], split="validation")["mean"] == pytest.approx(found)


@pytest.mark.usefixtures("_quick")
def test_any_two_modalities_and_the_whole_split(toy: Any) -> None:
    found = score(None, toy, "retrieval-mdm", seeds=[0])
    assert found["settings"]["training_pairs"] == len(toy.rows("train"))
    assert "audio->image R@1" in found["mean"]
    assert found["mean"]["Mean"] > found["chances"]["Mean"]
