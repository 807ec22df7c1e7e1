"""``evaluate`` of sets by pairs: what is taken where nothing is said, what is kept, what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck
from limbeck.banks import contrastive
from limbeck.cli import main
from limbeck.data import caption_embeddings
from limbeck.data.toy import make_toy
from limbeck.errors import ConfigError, DataError, NumericsError, ShapeError
from limbeck.evaluation import pairs as pairs_module
from limbeck.evaluation.pair_settings import default_protocol, fitting_tower
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.evaluation.recognition import evaluate_recognition
from limbeck.modalities import Audio, Image, Text
from tests.evaluation.paired_toy import chosen_pairs, paired_store
from tests.evaluation.test_recognition import picks

MACHINE: dict[str, Any] = {"device": "cpu", "kernels": "literal", "threads": 1, "seeds": [0]}
HEADS = "retrieval-frozen-heads"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return paired_store(tmp_path_factory.mktemp("concepts") / "store", each={"train": 2, "validation": 1, "test": 1})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, own in PROTOCOLS.items():
        if own.task == "pairs":
            recipe = dataclasses.replace(own.recipe, epochs=3)  # type: ignore[type-var]
            monkeypatch.setitem(PROTOCOLS, name, dataclasses.replace(own, version=99, recipe=recipe))


@pytest.fixture
def run(store: Any, tmp_path: Path) -> Path:
    """A set by pairs in what looks like a run's folder."""
    chosen_pairs(store, range(0, 24, 3), frozen=True, width=12).save(tmp_path / "run" / "synthetic")
    (tmp_path / "run" / "config.json").write_text("{}")
    return tmp_path / "run"


def test_students_are_what_the_set_was_made_with(run: Path) -> None:
    found = limbeck.evaluate(run, **MACHINE)
    assert found["protocol"] == HEADS
    assert found["students"] == ["convnet"]
    settings = found["settings"]
    assert (settings["captions"], settings["channels"]) == ("hashing", 8)
    assert {k: v for k, v in settings["towers"]["convnet"].items() if k != "id"} == {"width": 12, "pretrained": "none"}
    assert "head-384-12" in settings["towers"]["convnet"]["id"]
    other = limbeck.evaluate(run, protocol="retrieval-mdm", channels=4, **MACHINE)
    assert other["settings"]["towers"]["convnet"]["width"] is None
    assert other["settings"]["channels"] == 4
    wide = limbeck.evaluate(run, width=9, **MACHINE)
    assert "head-384-9" in wide["settings"]["towers"]["convnet"]["id"]
    kept = {p.name for p in (run / "results").iterdir()}
    assert kept == {f"{n}-test-convnet.json" for n in (HEADS, "retrieval-mdm")} | {f"{HEADS}-test-convnet-width-9.json"}
    assert json.loads((run / "result.json").read_text()) == wide


def test_which_protocol_where_none_is_named(store: Any, toy: Any) -> None:
    by_pairs = chosen_pairs(store, range(4))
    assert default_protocol(by_pairs, store) == "retrieval-mdm"
    assert default_protocol(chosen_pairs(store, range(4), tower="patches"), store) == HEADS
    labelled = picks(toy, 1)
    assert default_protocol(labelled, toy) == "recognition-avdd"
    labelled.provenance["settings"] = {"pairs": 4}
    assert default_protocol(labelled, toy) == "retrieval-mdm"
    assert default_protocol(None, toy) == "recognition-avdd"
    assert default_protocol(None, store) == "retrieval-mdm"


def test_towers_by_size_of_pictures() -> None:
    large, small = (Image(shape=(3, side, side)) for side in (224, 64))
    sound = Audio(shape=(1, 128, 128))
    assert fitting_tower({"image": large, "text": Text(shape=(4,))}) == "nfnet"
    assert fitting_tower({"image": small}) == fitting_tower({"audio": sound}) == "convnet"


def test_whole_data_is_trained_once_under_the_same_protocol(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = limbeck.evaluate(run, whole=True, whole_seeds=[0], as_published=True, **MACHINE)
    assert first["whole"]["protocol"] == HEADS
    assert first["whole"]["settings"]["training_pairs"] > first["settings"]["training_pairs"]
    assert (first["as_published"], first["whole"]["as_published"]) == (True, False)
    trained = []
    original = pairs_module.train_pairs
    monkeypatch.setattr(pairs_module, "train_pairs", lambda *a, **k: (trained.append(len(a[1])), original(*a, **k))[1])
    again = limbeck.evaluate(run, whole_seeds=[0], **MACHINE)
    assert trained == [8]
    assert again["whole"] == first["whole"]
    assert "whole" not in limbeck.evaluate(run, whole_seeds=[0], width=9, **MACHINE)
    copy = dataclasses.replace(contrastive.COPY_RECIPE, epochs=9)  # students start elsewhere, and no setting says so
    monkeypatch.setattr(contrastive, "COPY_RECIPE", copy)
    assert "whole" not in limbeck.evaluate(run, whole_seeds=[0], **MACHINE)


def test_students_read_captions_of_another_encoder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, width: int) -> None:
            self.id, self.width = f"other-{width}", width

        def encode(self, texts: Any, _: Any) -> Any:
            return np.array([[len(t), *map(ord, t[:3]), *[1.0] * (self.width - 4)] for t in texts], np.float32)

    original = caption_embeddings.sentence_encoder
    others = {"same": Other(384), "wider": Other(500)}
    monkeypatch.setattr(caption_embeddings, "sentence_encoder", lambda name: others.get(name) or original(name))
    found = limbeck.evaluate(run, captions="same", **MACHINE)
    assert found["settings"]["captions"] == "same"
    assert found["runs"] != limbeck.evaluate(run, **MACHINE)["runs"]
    with pytest.raises(ShapeError, match=r"of 384 numbers, wider makes 500"):
        limbeck.evaluate(run, captions="wider", **MACHINE)


def test_another_tower_starts_where_its_papers_start(store: Any) -> None:
    made = chosen_pairs(store, range(6), tower="nfnet")
    with pytest.raises(ConfigError, match="unknown tower"):
        limbeck.evaluate(made, students=["nfnt"], **MACHINE)
    given = limbeck.evaluate(made, students=["convnet"], pretrained="none", protocol="retrieval-vld", **MACHINE)
    assert given["settings"]["towers"]["convnet"]["pretrained"] == "none"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"fusion": "sum"}, "has no use for it"),
        ({"weights": "w.safetensors"}, "has no use for it"),
        ({"save_weights": "weights"}, "has no use for it"),
        ({"at_once": 2}, "has no use for it"),
        ({"select": "best"}, "unknown selection"),
        ({"select": "validation", "split": "validation"}, "cannot both choose and be scored"),
        ({"select": "test-oracle", "split": "validation"}, "of the test split"),
        ({"split": "tets"}, "unknown split"),
        ({"modalities": ["image"]}, "two modalities"),
        ({"protocol": "retrieval-mdm", "width": 8}, "their own width"),
        ({"protocol": "retrieval-mdm", "students": ["patches"]}, "stands still"),
        ({"students": ["convnet", "convnet"]}, "more than once"),
        ({"seeds": []}, "at least one seed"),
        ({"width": 0}, "width is 0"),
        ({"captions": "hashng"}, "unknown sentence encoder"),
        ({"protocol": "retrieval-md"}, "unknown protocol"),
    ],
)
def test_what_makes_no_score_is_refused(run: Path, told: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        limbeck.evaluate(run, **{**MACHINE, **told})
    assert not (run / "result.json").exists()


@pytest.mark.parametrize(
    "told", [{"captions": "bert"}, {"width": 3}, {"pretrained": "none"}, {"as_published": True}, {"select": "last "}]
)
def test_recognition_has_none_of_it(toy: Any, told: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has no use for it"):
        limbeck.evaluate(toy, **{**MACHINE, **told})


def test_what_does_not_fit_is_said(store: Any, toy: Any, tmp_path: Path) -> None:
    made = chosen_pairs(store, range(6))
    larger = paired_store(tmp_path / "larger", side=12)
    with pytest.raises(ConfigError, match=r"image of \(3, 12, 12\), the set's image"):
        limbeck.evaluate(made, data=larger, **MACHINE)
    with pytest.raises(ConfigError, match="nothing here is a caption"):
        limbeck.evaluate(picks(toy, 1), data=toy, protocol="retrieval-mdm", captions="hashing", **MACHINE)
    with pytest.raises(ConfigError, match="trains towers on pairs"):
        evaluate_recognition(picks(toy, 1), toy, protocol="retrieval-mdm", channels=8)
    with pytest.raises(ConfigError, match="carry nothing"):
        limbeck.evaluate(store, protocol=HEADS, as_published=True, **MACHINE)
    made.provenance["step_sizes"] = {"image": -0.1, "text": 0.1}
    with pytest.raises(NumericsError, match="step sizes"):
        limbeck.evaluate(made, as_published=True, **MACHINE)
    untested = make_toy(tmp_path / "untested", modalities=("image", "audio"), per_class=(3, 0, 2))
    with pytest.raises(DataError, match="'validation'"):
        limbeck.evaluate(untested, protocol="retrieval-mdm", select="validation", pretrained="none", **MACHINE)


def test_in_the_terminal(run: Path, capsys: Any) -> None:
    arguments = ["evaluate", str(run), "--seeds", "0:2", "--device", "cpu", "--kernels", "literal", "--as-published"]
    assert main([*arguments, "--select", "test-oracle"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "retrieval-frozen-heads v99, test-oracle" in said
    assert "as published" in said
    assert "8 items" in said
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"][0] == "IR@1"
    assert found["as_published"] is True
    assert (run / "results" / "retrieval-frozen-heads-test-convnet-test-oracle-as-published.json").exists()
    assert main(["evaluate", str(run), "--protocol", "retrieval-mdm", "--students", "patches"]) == 2
    assert "retrieval-frozen-heads" in capsys.readouterr().err
