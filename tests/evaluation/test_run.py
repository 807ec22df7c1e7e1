from __future__ import annotations

import json
import shutil

import pytest

import limbeck
from limbeck.data.toy import make_toy
from limbeck.errors import ConfigError, DataError, FormatError
from limbeck.evaluation import run as run_module
from limbeck.evaluation import trial
from limbeck.evaluation import whole as whole_module

MACHINE = {"device": "cpu", "kernels": "literal", "threads": 1, "channels": 8}


@pytest.fixture
def run(toy, small, tmp_path):
    limbeck.distill("random", toy, out=tmp_path / "run", per_class=2, **{k: small[k] for k in ("channels", "kernels")})
    return tmp_path / "run"


def test_a_run_an_artifact_and_a_set_score_alike(run):
    scores = [
        limbeck.evaluate(target, seeds=[0, 1], **MACHINE)
        for target in (run, run / "synthetic", limbeck.load(run), str(run))
    ]
    assert all(s["runs"] == scores[0]["runs"] for s in scores)
    assert json.loads((run / "result.json").read_text())["runs"] == scores[0]["runs"]
    assert not (run / "synthetic" / "result.json").exists()
    assert scores[0]["trained_on"]["method"] == "random"


def test_whole_data_is_measured_once_and_stays_beside_later_scores(run, monkeypatch):
    first = limbeck.evaluate(run, seeds=[0], whole=True, whole_seeds=[0, 1], **MACHINE)
    assert first["whole"]["n"] == 2
    assert first["whole"]["mean"]["fused"] > first["chance"]
    calls = []
    original = run_module.score
    for module in (run_module, whole_module):
        monkeypatch.setattr(module, "score", lambda *a: (calls.append(a[0]), original(*a))[1])
    again = limbeck.evaluate(run, seeds=[0], whole_seeds=[0, 1], **MACHINE)
    assert again["whole"] == first["whole"]
    assert len(calls) == 1
    assert "whole" not in limbeck.evaluate(
        run, seeds=[0], whole_seeds=[0, 1], protocol="recognition-avdd-code", **MACHINE
    )


def test_a_data_set_scores_its_whole_training_split(toy):
    whole = limbeck.evaluate(toy, seeds=[0], **MACHINE)
    assert whole["settings"]["training_items"] == len(toy.rows("train"))
    assert limbeck.evaluate(toy.path, seeds=[0], **MACHINE) == whole


def test_seeds_of_students_are_independent_and_repeatable(run):
    both = limbeck.evaluate(run, seeds=[0, 1], **MACHINE)
    second = limbeck.evaluate(run, seeds=[1], **MACHINE)
    assert both["runs"][1] == second["runs"][0]
    assert second["std"]["fused"] is None


def test_data_that_moved_or_changed_is_said(run, toy, tmp_path):
    synthetic = limbeck.load(run)
    synthetic.provenance["data"]["path"] = str(tmp_path / "gone")
    with pytest.raises(DataError, match="is not here"):
        limbeck.evaluate(synthetic, seeds=[0], **MACHINE)
    assert limbeck.evaluate(synthetic, seeds=[0], data=toy, **MACHINE)["n"] == 1
    other = make_toy(tmp_path / "other", seed=5)
    synthetic.provenance["data"]["path"] = str(other.path)
    with pytest.raises(DataError, match="has changed"):
        limbeck.evaluate(synthetic, seeds=[0], **MACHINE)


def test_data_that_is_damaged_is_not_called_missing(run, toy, tmp_path):
    damaged = shutil.copytree(toy.path, tmp_path / "damaged")
    file = max(damaged.glob("*.npy"), key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes()[:-10])
    synthetic = limbeck.load(run)
    synthetic.provenance["data"]["path"] = str(damaged)
    with pytest.raises(FormatError, match=file.name):
        limbeck.evaluate(synthetic, seeds=[0], **MACHINE)
    (damaged / "store.json").unlink()
    with pytest.raises(DataError, match="no store here"):
        limbeck.evaluate(synthetic, seeds=[0], **MACHINE)


def test_the_score_of_each_protocol_is_kept(run):
    first = limbeck.evaluate(run, seeds=[0], **MACHINE)
    last = limbeck.evaluate(run, seeds=[0], protocol="recognition-avdd-code", split="validation", **MACHINE)
    kept = {p.name: json.loads(p.read_text()) for p in (run / "results").iterdir()}
    assert kept == {
        "recognition-avdd-test-convnet.json": first,
        "recognition-avdd-code-validation-convnet.json": last,
    }
    assert json.loads((run / "result.json").read_text()) == last


def test_students_can_be_trained_together(run, monkeypatch):
    seen = []
    original = trial.train
    monkeypatch.setattr(trial, "train", lambda *a, **k: (seen.append(k["at_once"]), original(*a, **k))[1])
    assert limbeck.evaluate(run, seeds=[0, 1], at_once=2, **MACHINE)["settings"]["at_once"] == 2
    assert seen == [2]


@pytest.mark.parametrize(
    "wrong",
    [{"threads": 0}, {"channels": 0}, {"at_once": 0}, {"seeds": []}, {"students": []}, {"whole_seeds": [1, 1]}],
)
def test_nonsense_is_refused(run, wrong):
    with pytest.raises(ConfigError):
        limbeck.evaluate(run, **{**MACHINE, "seeds": [0], **wrong})


def test_three_lines_train_a_student(run, toy):
    import torch
    from torch.utils.data import DataLoader

    synthetic = limbeck.load(run)
    loader = DataLoader(synthetic.torch(), batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(0))

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 4))
    torch.nn.init.zeros_(net[1].weight)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        for batch in loader:
            loss = torch.nn.functional.cross_entropy(net(batch["image"]), batch["label"])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    rows = toy.rows("test")
    found = net(toy.batch("image", rows)).argmax(1)
    assert (found == torch.from_numpy(toy.labels[rows].copy())).float().mean() > 0.75
