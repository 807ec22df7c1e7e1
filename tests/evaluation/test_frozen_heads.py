"""recognition-frozen-heads end to end: which encoder, what a plain script gets, what is embedded once, or refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import limbeck
from limbeck.banks.frozen import frozen_encoders
from limbeck.cli import main
from limbeck.data.toy import make_toy
from limbeck.errors import ConfigError
from limbeck.evaluation.pair_settings import default_protocol
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.evaluation.recognition import evaluate_recognition
from limbeck.report.page import write_report
from limbeck.training import Rows
from tests.evaluation.test_recognition import picks
from tests.reference.heads import literal_heads

HEADS = "recognition-frozen-heads"
MACHINE: dict[str, Any] = {"device": "cpu", "kernels": "literal", "threads": 1, "seeds": [0]}
OWN = "tests.evaluation.test_frozen_heads:own_encoder"


def own_encoder(modality: Any) -> nn.Module:
    """An encoder of the user's."""
    generator = torch.Generator().manual_seed(len(modality.name))
    net = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(modality.shape).numel(), 12))
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return net


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    own = PROTOCOLS[HEADS]
    recipe = dataclasses.replace(own.recipe, epochs=4, batch=8, drops=(2, 3))  # type: ignore[type-var]
    monkeypatch.setitem(PROTOCOLS, HEADS, dataclasses.replace(own, version=99, recipe=recipe))


def made(store: Any, count: int = 3, **settings: Any) -> Any:
    """Real items as a set that a run with ``settings`` made."""
    synthetic = picks(store, count)
    about = {"name": store.name, "hash": store.data_hash, "path": str(store.path)}
    synthetic.provenance = {"method": "random", "settings": settings, "data": about}
    return synthetic


def score(synthetic: Any, store: Any, **settings: Any) -> dict[str, Any]:
    told = {"seeds": [0, 1], "students": ["patches"], **settings}
    return evaluate_recognition(synthetic, store, protocol=HEADS, **told).to_dict()


def test_a_score_is_that_of_a_plain_script(toy: Any) -> None:
    synthetic = made(toy, 5)
    found = score(synthetic, toy, seeds=[3], students=[OWN])
    frozen = frozen_encoders(toy, toy.modalities, OWN)
    before = {n: {k: w.clone() for k, w in own.items()} for n, own in frozen.weights.items()}
    student = dataclasses.replace(_student(frozen, toy))
    fresh = student.init(3)
    values, labels = synthetic.decode()
    start = {name: (fresh[f"{name}/head.weight"], fresh[f"{name}/head.bias"]) for name in values}
    embed = {name: lambda x, n=name: frozen.embed(n, x) for name in values}
    heads = literal_heads(embed, values, labels, start, PROTOCOLS[HEADS].recipe, 3, augmented=tuple(values))
    test = Rows.labelled(toy, "test", toy.modalities)
    batch = test.batch(torch.arange(len(test)))
    logits = {name: head(frozen.embed(name, batch[name])).detach() for name, head in heads.items()}
    logits["fused"] = torch.stack([x.softmax(1) for x in logits.values()]).mean(0)
    expected = {n: 100 * float((x.argmax(1) == test.labels).double().mean()) for n, x in logits.items()}
    assert found["runs"][0]["scores"] == pytest.approx(expected)
    assert all(torch.equal(before[n][k], w) for n, own in frozen.weights.items() for k, w in own.items())


def _student(frozen: Any, store: Any) -> Any:
    from limbeck.evaluation.frozen_students import frozen_student

    return frozen_student(frozen, store.modalities, len(store.classes), "ensemble")


def test_the_encoder_is_the_sets_own(toy: Any, tmp_path: Path) -> None:
    assert default_protocol(made(toy, encoder="aligned"), toy) == HEADS
    assert default_protocol(made(toy, encoder="random"), toy) == "recognition-avdd"
    assert default_protocol(made(toy), toy) == "recognition-avdd"
    own = limbeck.evaluate(made(toy, encoder="aligned", pretrained="none"), **MACHINE)
    assert (own["protocol"], own["version"], own["students"]) == (HEADS, 99, ["aligned"])
    assert own["settings"]["encoders"]["aligned"]["pretrained"] == "none"
    assert own["settings"]["augmented"] is True
    plain = limbeck.evaluate(made(toy), protocol=HEADS, **MACHINE)
    assert plain["students"] == ["patches"]
    assert plain["settings"]["encoders"]["patches"]["pretrained"] == "auto"
    other = limbeck.evaluate(made(toy), protocol=HEADS, pretrained="none", **MACHINE)
    assert other["settings"]["encoders"]["patches"]["id"] != plain["settings"]["encoders"]["patches"]["id"]
    vectors = make_toy(tmp_path / "vectors", modalities=("feature", "text"), per_class=(6, 1, 4))
    found = limbeck.evaluate(made(vectors), protocol=HEADS, **MACHINE)
    assert found["students"] == ["identity"]
    assert found["mean"]["fused"] > found["chance"]


def test_the_whole_split_is_embedded_once_and_kept(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = limbeck.evaluate(made(toy), protocol=HEADS, whole=True, whole_seeds=[0, 1], **MACHINE)
    whole = first["whole"]
    assert (whole["settings"]["augmented"], first["settings"]["augmented"]) == (False, True)
    assert whole["settings"]["training_items"] == len(toy.rows("train"))
    assert whole["mean"]["fused"] > whole["chance"]
    again = limbeck.evaluate(made(toy), protocol=HEADS, whole_seeds=[0, 1], **MACHINE)
    assert again["whole"] == whole
    assert "whole" not in limbeck.evaluate(made(toy), protocol=HEADS, whole_seeds=[0, 1], pretrained="none", **MACHINE)
    from limbeck.evaluation import trial

    original = trial.frozen_encoders  # an encoder that was fitted anew is another
    monkeypatch.setattr(trial, "frozen_encoders", lambda *a, **k: dataclasses.replace(original(*a, **k), id="new"))
    assert "whole" not in limbeck.evaluate(made(toy), protocol=HEADS, whole_seeds=[0, 1], **MACHINE)


def test_seeds_and_students_do_not_know_of_each_other(toy: Any) -> None:
    synthetic = made(toy)
    both = score(synthetic, toy, seeds=[1, 0], students=["patches", "aligned"])
    assert score(synthetic, toy, seeds=[0])["runs"][0] == both["runs"][1]
    assert [run["student"] for run in both["runs"]] == ["patches", "patches", "aligned", "aligned"]
    together = score(synthetic, toy, seeds=[1, 0], at_once=2)
    for a, b in zip(both["runs"], together["runs"], strict=False):
        assert a["scores"] == pytest.approx(b["scores"], abs=5.1)
    alone = score(synthetic, toy, seeds=[0], modalities=["audio"])
    assert alone["mean"]["audio"] == both["runs"][1]["scores"]["audio"]


def test_a_run_is_scored_reported_and_its_heads_kept(toy: Any, tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    made(toy, encoder="patches").save(run / "synthetic")
    (run / "config.json").write_text("{}")
    keep = ["--save-weights", str(tmp_path / "heads")]
    assert main(["evaluate", str(run), "--seeds", "0", "--device", "cpu", "--threads", "1", *keep, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"] == HEADS
    assert sum(map(sum, found["confusion"])) == found["settings"]["test_items"]
    assert (run / "results" / f"{HEADS}-test-patches.json").exists()
    page = write_report(run).read_text()
    assert "Which class was taken for which" in page
    from safetensors.torch import load_file

    assert {name.split("/")[1] for name in load_file(tmp_path / "heads" / "patches-0.safetensors")} == {
        "head.weight", "head.bias",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"students": ["patchs"]}, "Did you mean 'patches'"),
        ({"students": ["convnet"]}, "unknown encoder 'convnet'"),
        ({"students": ["identity"]}, "reads vectors"),
        ({"students": ["clip"]}, "'audio' is audio"),
        ({"students": ["patches", "patches"]}, "more than once"),
        ({"weights": "w.safetensors"}, "has no use for it"),
        ({"captions": "hashing"}, "has no use for it"),
        ({"width": 4}, "has no use for it"),
        ({"as_published": True}, "has no use for it"),
        ({"fusion": "attention"}, "has none"),
        ({"pretrained": "gone.safetensors"}, "gone.safetensors"),
        ({"students": ["nowhere.at_all:encoder"]}, "nowhere.at_all:encoder"),
    ],
)
def test_what_makes_no_score_is_refused(toy: Any, told: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        limbeck.evaluate(made(toy), protocol=HEADS, **{**MACHINE, **told})
