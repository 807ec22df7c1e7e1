"""Cells through a frozen encoder are distilled and scored at small scale, whatever the modalities."""

from __future__ import annotations

import json

import pytest

from limbeck.banks.embed import embed_store
from limbeck.data.toy import make_toy
from limbeck.files import read_json
from limbeck.recipes import scale
from limbeck.recipes.run import run_recipe

TINY = scale.Scale(
    "small", sets=1, students=1, published=False, run={"steps": 2, "channels": 8, "real_batch": 8}
)  # fmt: skip
MACHINE = {"kernels": "literal", "device": "cpu", "threads": 1}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The small scale, smaller still."""
    monkeypatch.setitem(scale.SCALES, "small", TINY)
    monkeypatch.setattr(scale, "VECTOR_STEPS", 2)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("imagebind") / "out"


def run(name, store, out, *cells):
    result = run_recipe(name, store, cells=cells, scale="small", out=out, **MACHINE)
    assert not [cell["error"] for cell in result["cells"] if "error" in cell]
    return {cell["name"]: cell["ours"] for cell in result["cells"]}


def settings_of(out, pattern):
    (folder,) = (out / "sets").glob(pattern)
    return read_json(folder / "config.json")


def test_frozen_heads_score_what_is_distilled_through_the_same_encoder(toy, out):
    found = run("imagebind.table2", toy, out, "ave-imagebind/1/random", "ave-imagebind/1/dm", "ave-imagebind/1/dsa")
    assert found["ave-imagebind/1/dsa"] is None
    assert all(0 <= found[f"ave-imagebind/1/{m}"]["scores"]["fused"]["mean"] <= 100 for m in ("random", "dm"))
    assert settings_of(out, "dm-1-*/0")["encoder"] == "aligned"
    (score,) = (out / "sets").glob("dm-1-*/0/scores/*.json")
    told = read_json(score)
    assert (told["protocol"], told["students"]) == ("recognition-frozen-heads", ["aligned"])


def test_the_released_settings_are_a_set_of_their_own(toy, out):
    found = run("imagebind.table2", toy, out, "ave-imagebind/1/imagebinddc")
    assert list(found) == ["ave-imagebind/1/imagebinddc", "ave-imagebind/1/imagebinddc/as-released"]
    methods = [read_json(f / "config.json") for f in (out / "sets").glob("imagebinddc-1-*/0")]
    assert {m["method"]["reading"] for m in methods} == {"paper", "as_released"}
    assert {m["stepping"] for m in methods} == {"step", "per_class"}


def test_one_modality_has_no_common_space(toy, out):
    found = run("imagebind.figure3", toy, out, "ave-imagebind/1/audio/cfd")
    assert set(found["ave-imagebind/1/audio/cfd"]["scores"]) == {"audio"}


def test_a_set_through_a_frozen_encoder_trains_convnets_too(toy, out):
    found = run("imagebind.table5", toy, out, "ave-imagebind/1/dm")
    assert list(found) == ["ave-imagebind/1/dm/convnet", "ave-imagebind/1/dm/imagebind"]
    assert all(ours["scores"] for ours in found.values())


def test_seconds_are_of_the_steps(toy, out):
    found = run("imagebind.table6", toy, out, "vggs10k-imagebind/1/dm")["vggs10k-imagebind/1/dm"]
    assert found["students"] == 0
    (file,) = (out / "sets").glob("dm-1-*/0/metrics.jsonl")
    last = json.loads(file.read_text().splitlines()[-1])
    assert found["scores"]["s"]["mean"] == last["seconds"] > 0
    assert "GB" not in found["scores"]


def test_scene_names_stay_and_depth_has_a_score_of_its_own(out, tmp_path):
    rooms = make_toy(tmp_path / "rooms", modalities=("depth", "text"))
    found = run("imagebind.table3", rooms, out.with_name("rooms"), "nyu_v2/1/imagebinddc")["nyu_v2/1/imagebinddc"]
    assert set(found["scores"]) == {"fused", "depth"}
    assert settings_of(out.with_name("rooms"), "imagebinddc-1-*/0")["fixed"] == ["text"]


def test_pairs_of_vectors_are_scored_alone_and_with_real_ones(out, tmp_path):
    captioned = make_toy(tmp_path / "captioned", modalities=("audio", "text"), per_class=(30, 3, 5))
    vectors = embed_store(captioned, "aligned", tmp_path / "vectors", captions="hashing", width=16)
    place = out.with_name("vectors")
    found = run("imagebind.table4", vectors, place, "clotho-imagebind/20/dm", "clotho-imagebind/20/imagebinddc")
    assert {name.endswith("/mixed") for name in found} == {True, False}
    assert all(len(ours["scores"]) == 6 for ours in found.values())
    (folder,) = (place / "sets").glob("imagebinddc-20-*/0")  # one set under both protocols
    protocols = {read_json(file)["protocol"] for file in folder.glob("scores/*.json")}
    assert protocols == {"retrieval-linear-heads", "retrieval-linear-heads-mixed"}
    assert read_json(folder / "config.json")["optimiser"] == "adam"
