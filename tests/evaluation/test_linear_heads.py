"""retrieval-linear-heads end to end: on embedded stores and on frozen towers, alone and beside real pairs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

import limbeck
from limbeck.banks.embed import embed_store
from limbeck.cli import show
from limbeck.data.pairs import Pairs
from limbeck.engine.plan import plan
from limbeck.errors import ConfigError
from limbeck.evaluation.judge import Judge
from limbeck.evaluation.linear_towers import linear_towers
from limbeck.evaluation.pair_settings import default_protocol
from limbeck.evaluation.pairs import evaluate_pairs
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.rng import key, stream
from tests.evaluation.paired_toy import chosen_pairs, paired_store
from tests.reference.heads import literal_contrast
from tests.reference.recall import sorted_recall

HEADS, MIXED = "retrieval-linear-heads", "retrieval-linear-heads-mixed"
MACHINE: dict[str, Any] = {"device": "cpu", "kernels": "literal", "threads": 1, "seeds": [0]}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return paired_store(tmp_path_factory.mktemp("raw") / "store")


@pytest.fixture(scope="module")
def store(raw: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The pictures and captions as vectors."""
    return embed_store(raw, "patches", tmp_path_factory.mktemp("vectors") / "store", captions="hashing", device="cpu")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (HEADS, MIXED):
        own = PROTOCOLS[name]
        recipe = dataclasses.replace(own.recipe, epochs=6)  # type: ignore[type-var]
        monkeypatch.setitem(PROTOCOLS, name, dataclasses.replace(own, recipe=recipe))


def made(store: Any, rows: range = range(0, 48, 2), **settings: Any) -> Any:
    """Pairs of the vectors as a set."""
    pairs = Pairs.of(store, "train", captions="stored")
    synthetic = chosen_pairs(store, rows, captions="stored", tower="auto", **settings)
    synthetic.modalities = dict(pairs.modalities)
    synthetic.values = pairs.batch(torch.tensor(list(rows)))
    return synthetic


def score(synthetic: Any, store: Any, protocol: str = HEADS, **settings: Any) -> dict[str, Any]:
    told = {"seeds": [0, 1], "students": ["identity"], **settings}
    return evaluate_pairs(synthetic, store, protocol=protocol, **told).to_dict()


@pytest.mark.parametrize("protocol", [HEADS, MIXED])
def test_a_score_is_that_of_a_plain_script(store: Any, protocol: str) -> None:
    synthetic = made(store)
    found = score(synthetic, store, protocol, seeds=[3])
    train, test = (Pairs.of(store, split, captions="stored") for split in ("train", "test"))
    seed = key(3, "student")
    towers = linear_towers(train, "identity", width=512)
    start = towers.init(lambda name: stream(seed, "pairs", "init", name))
    heads = literal_contrast(
        {name: (w["weight"], w["bias"]) for name, w in start.items()},
        synthetic.values,
        train.batch(torch.arange(len(train))) if protocol == MIXED else None,
        PROTOCOLS[protocol].recipe,
        seed,
    )
    a, b = heads["image"](test.firsts(range(len(test.items)))), heads["text"](test.seconds(range(len(test))))
    a, b = (torch.nn.functional.normalize(x.detach().double()) for x in (a, b))
    literal = sorted_recall((a @ b.T).numpy(), test.owner)
    ways = {"IR": "text->image R", "TR": "image->text R"}
    expected = {ways[n[:2]] + n[2:] if n[:2] in ways else n: value for n, value in literal.items()}
    assert found["runs"][0]["scores"] == pytest.approx(expected)


def test_an_embedded_store_has_it_by_default(store: Any, raw: Any) -> None:
    assert default_protocol(made(store), store) == HEADS
    assert default_protocol(None, store) == HEADS
    assert default_protocol(None, raw) == "retrieval-mdm"
    assert default_protocol(chosen_pairs(raw, range(4), encoder="aligned"), raw) == HEADS
    found = limbeck.evaluate(made(store), whole=True, whole_seeds=[0], **MACHINE)
    assert (found["protocol"], found["students"]) == (HEADS, ["identity"])
    assert found["settings"]["captions"] == "stored"
    assert found["settings"]["towers"]["identity"]["width"] == 512
    assert found["metrics"][0] == "text->image R@1"
    assert found["mean"]["Mean"] > found["chances"]["Mean"]
    assert found["whole"]["settings"]["training_pairs"] > found["settings"]["training_pairs"]
    assert "notes" not in found
    narrow = limbeck.evaluate(made(store), width=7, **MACHINE)
    assert "linear-384-7" in narrow["settings"]["towers"]["identity"]["id"]


def test_frozen_towers_and_encoders_below_it(raw: Any) -> None:
    synthetic = chosen_pairs(raw, range(0, 48, 2))
    found = score(synthetic, raw, captions="hashing", students=["patches", "aligned", "convnet"], channels=8)
    ids = {name: about["id"] for name, about in found["settings"]["towers"].items()}
    assert all("linear-" in about and "-512" in about for about in ids.values())
    assert "head-" not in "".join(ids.values())
    assert found["metrics"][0] == "IR@1"
    of_run = chosen_pairs(raw, range(0, 48, 2), encoder="aligned", pretrained="auto")
    assert limbeck.evaluate(of_run, protocol=HEADS, **MACHINE)["students"] == ["aligned"]
    assert limbeck.evaluate(synthetic, protocol=HEADS, **MACHINE)["students"] == ["convnet"]


def test_real_pairs_in_training_are_told(store: Any, capsys: Any) -> None:
    found, alone = score(made(store), store, MIXED), score(made(store), store)
    count = len(Pairs.of(store, "train", captions="stored"))
    assert found["settings"]["real_pairs"] == count
    assert f"of the {count} real training pairs" in found["notes"][0]
    assert found["runs"] != alone["runs"]
    assert "REAL DATA" in PROTOCOLS[MIXED].description
    show.scores(found, False)
    assert "Trained on real data" in capsys.readouterr().out
    for told in ({"whole": True}, {"as_published": True}):
        with pytest.raises(ConfigError, match="has no use for it"):
            limbeck.evaluate(made(store), protocol=MIXED, **MACHINE, **told)
    with pytest.raises(ConfigError, match="here is no set"):
        limbeck.evaluate(store, protocol=MIXED, **MACHINE)


def test_students_do_not_know_of_each_other(store: Any) -> None:
    for protocol in (HEADS, MIXED):
        forth, alone = (score(made(store), store, protocol, seeds=seeds) for seeds in ([0, 2], [2]))
        assert forth["runs"][1] == alone["runs"][0]
        assert forth["runs"][0]["scores"] != forth["runs"][1]["scores"]


def test_a_judge_has_the_heads_of_its_protocol(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.banks.towers import build_towers

    pairs, validation = (Pairs.of(store, split, captions="stored") for split in ("train", "validation"))
    towers = build_towers(pairs, tower="convnet", channels=8)  # heads of another kind and width
    judge = Judge(towers, validation, protocol=HEADS, seeds=(4,))
    synthetic = made(store)
    found = judge(synthetic)
    monkeypatch.setattr("limbeck.evaluation.pairs.key", lambda seed, _: key(seed, "judge"))
    assert score(synthetic, store, seeds=[4], split="validation")["mean"] == pytest.approx(found)
    with pytest.raises(ConfigError, match="trains on real pairs"):
        Judge(towers, validation, protocol=MIXED)
    with pytest.raises(ConfigError, match="keeps its tower"):
        Judge(towers, validation, protocol="retrieval-frozen-heads")


def test_a_run_is_validated_by_it(store: Any, raw: Any) -> None:
    told: dict[str, Any] = {"pairs": 4, "steps": 2, "captions": "stored", "device": "cpu", "channels": 8}
    for validate in ("auto", HEADS):
        assert plan("mdm", store, settings={**told, "validate": validate}).settings.validate == HEADS
    with pytest.raises(ConfigError, match=f"Did you mean '{HEADS}'"):
        plan("mdm", store, settings={**told, "validate": MIXED})
    with pytest.raises(ConfigError, match="keeps its tower, which learns here"):
        plan("mdm", raw, settings={**told, "captions": "hashing", "validate": HEADS})


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"students": ["identty"]}, "Did you mean 'identity'"),
        ({"students": ["nfnet"]}, "unknown encoder 'nfnet'"),
        ({"width": 0}, "width is 0"),
        ({"modalities": ["image"]}, "two modalities"),
        ({"fusion": "sum"}, "has no use for it"),
        ({"as_published": True}, "has no use for it"),
        ({"protocol": "recognition-frozen-heads"}, "no labels|need labels"),
        ({"protocol": "retrieval-frozen-heads"}, "keeps its tower"),
    ],
)
def test_what_makes_no_score_is_refused(store: Any, told: dict[str, Any], words: str) -> None:
    with pytest.raises(limbeck.errors.LimbeckError, match=words):
        limbeck.evaluate(made(store), **{**MACHINE, **told})
