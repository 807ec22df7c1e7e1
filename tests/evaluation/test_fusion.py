"""Fusions, single modalities and given weights, from the protocol to the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import limbeck
from limbeck.cli import main
from limbeck.errors import ConfigError, FormatError, ShapeError
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.evaluation.recognition import evaluate_recognition
from limbeck.evaluation.students import build_student
from limbeck.evaluation.weights import start
from limbeck.files import digest_file
from limbeck.training import Recipe
from tests.evaluation.test_recognition import picks

MACHINE: dict[str, Any] = {"device": "cpu", "kernels": "literal", "threads": 1, "channels": 8}
TYPED = ["--device", "cpu", "--kernels", "literal", "--threads", "1", "--channels", "8", "--seeds", "0"]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    recipe = Recipe(epochs=6, rates={"image": 1e-3, "audio": 1e-3}, head_rate=1e-3, drops=(5,))
    names = ("recognition-avdd", "retrieval-class")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:  # under a version of its own: scores of whole data are kept by version
            patch.setitem(PROTOCOLS, name, dataclasses.replace(PROTOCOLS[name], version=99, recipe=recipe))
        yield


@pytest.fixture(scope="module")
def run(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fusion") / "run"
    limbeck.distill("random", toy, out=folder, per_class=2, kernels="literal", channels=8)
    return folder


@pytest.fixture(scope="module")
def weights(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a student trained on the whole data."""
    folder = tmp_path_factory.mktemp("weights")
    limbeck.evaluate(toy, seeds=[0, 1], save_weights=folder, **MACHINE)
    return folder


@pytest.mark.parametrize("fusion", ["sum", "concat", "attention", "ensemble"])
def test_each_fusion_is_scored_and_recorded(toy: Any, fusion: str) -> None:
    found = evaluate_recognition(picks(toy, 5), toy, seeds=[0, 1], channels=8, fusion=fusion).to_dict()
    assert found["settings"]["fusion"] == fusion
    assert found["metrics"] == (["fused", "image", "audio"] if fusion == "ensemble" else ["fused"])
    assert set(found["mean"]) == set(found["chances"]) == set(found["metrics"])
    assert found["mean"]["fused"] > 1.2 * found["chance"] or fusion == "attention"  # which the papers find at chance
    assert sum(map(sum, found["confusion"])) == 2 * found["settings"]["test_items"]


def test_the_default_fusion_is_the_protocols(toy: Any) -> None:
    default, told = (
        evaluate_recognition(picks(toy, 2), toy, seeds=[0], channels=8, **more).to_dict()
        for more in ({}, {"fusion": "ensemble"})
    )
    assert default["runs"] == told["runs"]
    assert default["settings"] == told["settings"]
    with pytest.raises(ConfigError, match="unknown fusion 'atention'"):
        evaluate_recognition(picks(toy, 2), toy, seeds=[0], channels=8, fusion="atention")
    with pytest.raises(ConfigError, match="unknown fusion 'arcface'"):
        evaluate_recognition(picks(toy, 2), toy, seeds=[0], channels=8, fusion="arcface")


def test_results_of_each_fusion_and_modality_stand_side_by_side(run: Path) -> None:
    limbeck.evaluate(run, seeds=[0], whole=True, whole_seeds=[0], **MACHINE)
    fused = limbeck.evaluate(run, seeds=[0], fusion="sum", whole_seeds=[0], **MACHINE)
    assert "whole" not in fused  # that was measured under another fusion
    fused = limbeck.evaluate(run, seeds=[0], fusion="sum", whole=True, whole_seeds=[0], **MACHINE)
    assert fused["whole"]["settings"]["fusion"] == "sum"
    sound = limbeck.evaluate(run, seeds=[0], modalities=["audio"], **MACHINE)
    assert set(sound["mean"]) == {"fused", "audio"}
    assert sound["mean"]["fused"] == sound["mean"]["audio"]
    names = {p.name for p in (run / "results").iterdir()}
    assert {
        "recognition-avdd-test-convnet.json",
        "recognition-avdd-test-convnet-sum.json",
        "recognition-avdd-test-convnet-audio.json",
    } <= names
    with pytest.raises(ConfigError, match="no modality 'adio'"):
        limbeck.evaluate(run, seeds=[0], modalities=["adio"], **MACHINE)
    with pytest.raises(ConfigError, match="no modality is named"):
        limbeck.evaluate(run, seeds=[0], modalities=[], **MACHINE)


def test_one_modality_is_distilled_and_scored_in_the_terminal(toy: Any, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "run"
    typed = ["--per-class", "1", "--steps", "2", "--real-batch", "8", "--kernels", "literal", "--channels", "8"]
    assert main(["distill", "dm", "--data", str(toy.path), "--modalities", "audio", "--out", str(folder), *typed]) == 0
    assert list(limbeck.load(folder).values) == ["audio"]
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--modalities", "audio", *TYPED, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["modalities"] == ["audio"]
    assert set(found["mean"]) == {"fused", "audio"}
    assert main(["evaluate", str(folder), *TYPED, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == found["runs"]
    assert main(["evaluate", str(toy.path), "--modalities", "audio", *TYPED, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["modalities"] == ["audio"]
    for wrong in (["--modalities", "image"], ["--fusion", "attention"]):
        assert main(["evaluate", str(folder), *wrong, *TYPED]) == 2
    assert "between two modalities" in capsys.readouterr().err


def test_trained_students_are_kept_with_what_they_are(weights: Path, toy: Any) -> None:
    assert sorted(p.name for p in weights.iterdir()) == ["convnet-0.safetensors", "convnet-1.safetensors"]
    with safe_open(weights / "convnet-1.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["limbeck"])
    student = build_student("convnet", toy.modalities, 4, channels=8)
    assert (about["student"], about["seed"], about["data"]) == (student.id, 1, toy.data_hash)
    fresh, kept = student.init(1), load_file(weights / "convnet-1.safetensors")
    assert {k: w.shape for k, w in kept.items()} == {k: w.shape for k, w in fresh.items()}
    assert not torch.equal(kept["image/0.conv"], fresh["image/0.conv"])


def test_weights_are_kept_even_where_the_score_is_known(toy: Any, tmp_path: Path) -> None:
    first = limbeck.evaluate(toy, seeds=[3], **MACHINE)
    again = limbeck.evaluate(toy, seeds=[3], save_weights=tmp_path / "new", **MACHINE)
    assert (tmp_path / "new" / "convnet-3.safetensors").exists()
    assert again["runs"] == first["runs"]
    with pytest.raises(ConfigError, match="cannot be written"):
        limbeck.evaluate(toy, seeds=[3], save_weights="/dev/null/x", **MACHINE)


def test_students_start_from_given_weights(run: Path, weights: Path, capsys: Any) -> None:
    file = weights / "convnet-0.safetensors"
    fresh = limbeck.evaluate(run, seeds=[0], **MACHINE)
    assert fresh["settings"]["weights"] is None
    assert main(["evaluate", str(run), "--weights", str(file), *TYPED, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    digest = digest_file(file)
    assert found["settings"]["weights"] == {"file": file.name, "sha256": digest}
    assert sum(found["mean"].values()) > sum(fresh["mean"].values())  # they have seen the whole data
    assert (run / "results" / f"recognition-avdd-test-convnet-weights-{digest[:8]}.json").exists()
    assert limbeck.evaluate(run, seeds=[0], weights=file, protocol="retrieval-class", **MACHINE)["n"] == 1


def test_heads_of_another_shape_stay_fresh(weights: Path, toy: Any) -> None:
    given = load_file(weights / "convnet-0.safetensors")
    same, other = (build_student("convnet", toy.modalities, c, channels=8) for c in (4, 7))
    ((found, second),) = [start(same, given, [5, 6], "cpu", "here")]
    assert all(torch.equal(found[k], given[k]) and torch.equal(second[k], given[k]) for k in given)
    (found,) = start(other, given, [5], "cpu", "here")
    fresh = other.init(5)
    for key, w in found.items():
        assert torch.equal(w, fresh[key] if "head" in key else given[key])
    fused = build_student("convnet", toy.modalities, 4, channels=8, fusion="concat")
    (found,) = start(fused, given, [5], "cpu", "here")
    assert torch.equal(found["fused/head.weight"], fused.init(5)["fused/head.weight"])
    assert torch.equal(found["image/0.conv"], given["image/0.conv"])
    alone = build_student("convnet", {"image": toy.modalities["image"]}, 4, channels=8)
    (found,) = start(alone, given, [5], "cpu", "here")
    assert list(found) == [k for k in given if k.startswith("image/")] or set(found) == set(alone.init(0))


def test_weights_that_do_not_fit_are_told(run: Path, weights: Path, tmp_path: Path) -> None:
    given = load_file(weights / "convnet-0.safetensors")
    cases = {
        "missing": ({k: w for k, w in given.items() if k != "image/0.conv"}, r"image/0\.conv is not there"),
        "extra": (given | {"audio/9.conv": torch.zeros(2, 3)}, r"audio/9\.conv is 2x3.*has not there"),
        "misshapen": (given | {"audio/0.scale": torch.zeros(9)}, r"audio/0\.scale is 9, .* has 8"),
    }
    for name, (tensors, words) in cases.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(ShapeError, match=words):
            limbeck.evaluate(run, seeds=[0], weights=tmp_path / f"{name}.safetensors", **MACHINE)
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    for path in (tmp_path / "no.safetensors", tmp_path / "gone.safetensors", tmp_path):
        with pytest.raises(FormatError):
            limbeck.evaluate(run, seeds=[0], weights=path, **MACHINE)


def test_architectures_are_rows_of_their_own_in_the_terminal(run: Path, capsys: Any) -> None:
    typed = ["evaluate", str(run), "--students", "convnet,lenet", *TYPED[:-2], "--seeds", "0:2"]
    assert main(typed) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads((run / "result.json").read_text())
    for name, score in found["by_student"].items():
        (line,) = [line for line in lines if name in line and "fused" in line]
        assert f"{score['mean']['fused']:.1f} ± {score['std']['fused']:.1f}" in line
    assert sum("fused" in line for line in lines) == 2  # and no mean over both
