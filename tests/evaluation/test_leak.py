"""A text that is the class's own name is told of, whatever the protocol; one that is not, is none."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.cli import show
from limbeck.data.store import PairedStore
from limbeck.data.writer import StoreWriter
from limbeck.evaluation.compare import compare
from limbeck.evaluation.leak import leak_of, says_the_class
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.evaluation.recognition import evaluate_recognition
from limbeck.files import write_json
from limbeck.modalities import Depth, Text
from limbeck.report.scores import score_table
from limbeck.training import Recipe
from tests.evaluation.test_recognition import picks

NAMES = ("bathroom", "bedroom", "kitchen")


def rooms(path: Path, *, noise: float = 0.0, same: bool = False, each: int = 4, settings: Any = None) -> PairedStore:
    """Depth maps with their scene's name; ``noise`` makes a text of each item's own, ``same`` one for two classes."""
    rng = np.random.default_rng(0)
    looks, words = rng.uniform(1000, 6000, (3, 1, 8, 8)), rng.normal(size=(3, 5))
    words = words[[0, 0, 2]] if same else words
    modalities = [Depth(shape=(1, 8, 8)), Text(shape=(5,), embedding="toy")]
    rows = [(split, c) for split in ("train", "test") for c in range(3) for _ in range(each)]
    with StoreWriter(
        path, name="rooms", modalities=modalities, capacity=len(rows), classes=NAMES, settings=settings
    ) as writer:
        for k, (split, c) in enumerate(rows):
            seen = (looks[c] + rng.normal(0, 800, (1, 8, 8))).clip(0, 65535).astype(np.uint16)
            text = (words[c] + noise * rng.normal(size=5)).astype(np.float16)
            writer.write(k, id=f"{k}", split=split, label=c, captions=(), arrays={"depth": seen, "text": text})
        return writer.finish()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, own in PROTOCOLS.items():
        if isinstance(own.recipe, Recipe):
            recipe = dataclasses.replace(own.recipe, epochs=2)
            monkeypatch.setitem(PROTOCOLS, name, dataclasses.replace(own, recipe=recipe))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> PairedStore:
    return rooms(tmp_path_factory.mktemp("told") / "store")


def score(store: PairedStore, protocol: str = "recognition-scratch", **settings: Any) -> dict[str, Any]:
    students = ["patches"] if PROTOCOLS[protocol].frozen else ["convnet"]
    told = {"seeds": [0], "channels": 4, "students": students, **settings}
    return evaluate_recognition(picks(store, 2), store, protocol=protocol, **told).to_dict()


@pytest.mark.parametrize(
    "protocol", ["recognition-scratch", "recognition-avdd", "recognition-avdd-code", "recognition-frozen-heads"]
)
def test_every_protocol_of_recognition_tells_of_it(told: PairedStore, protocol: str) -> None:
    found = score(told, protocol)
    assert (found["leak"]["modality"], found["leak"]["headline"]) == ("text", "depth")
    assert {"fused", "depth", "text"} == set(found["mean"])
    assert found["notes"] == [found["leak"]["sentence"]]
    assert "'depth' is the score of recognition" in found["notes"][0]


def test_what_is_no_leak(tmp_path: Path, told: PairedStore, toy: Any) -> None:
    assert says_the_class(told, "text")
    assert not says_the_class(rooms(tmp_path / "noisy", noise=0.5), "text")
    assert says_the_class(rooms(tmp_path / "rounded", noise=1e-5), "text")  # one name, embedded in other batches
    assert not says_the_class(rooms(tmp_path / "shared", same=True), "text")
    said = rooms(tmp_path / "said", noise=0.5, settings={"text_is_label": True})
    assert says_the_class(said, "text")
    found = evaluate_recognition(picks(toy, 2), toy, protocol="recognition-scratch", seeds=[0], channels=4).to_dict()
    assert not {"leak", "notes"} & set(found)
    assert "leak" not in score(told, modalities=["depth"])


def test_what_is_said_where_no_other_score_is_there(told: PairedStore) -> None:
    fused = score(told, fusion="concat")
    assert fused["leak"]["headline"] is None
    assert "--modalities depth" in fused["leak"]["sentence"]
    alone = score(told, modalities=["text"])
    assert "nothing here is a score of recognition" in alone["leak"]["sentence"]
    assert leak_of(told, {"depth": told.modalities["depth"]}, ["fused", "depth"]) is None


def test_tables_and_pages_lead_with_the_other_score(told: PairedStore, tmp_path: Path, capsys: Any) -> None:
    found = score(told)
    show.scores(found, False)
    said = " ".join(capsys.readouterr().out.split())
    assert " ".join(found["leak"]["sentence"].split()) in said
    table = score_table(found, None, 3)
    assert table is not None
    assert table.headline.metric == "Depth"
    write_json(tmp_path / "one.json", {**found, "trained_on": {"method": "random", "items": 6}})
    compared = compare([tmp_path / "one.json"])
    assert compared["metrics"] == ["depth"]
    assert found["leak"]["sentence"] in compared["notes"]
    assert compare([tmp_path / "one.json"], metric="fused")["metrics"] == ["fused"]
