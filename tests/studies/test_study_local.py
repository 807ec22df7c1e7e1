"""A study on this machine: from its file to its tables, with cells that fail in every way."""

from __future__ import annotations

import csv
import json

import pytest

import limbeck
from limbeck.cli import main
from limbeck.errors import ConfigError, ResumeError


@pytest.fixture(scope="module")
def made(toy, tmp_path_factory):
    """(the folder, what the command said): one method cannot do the budget, one breaks, one kills its process."""
    import yaml

    from tests.studies.conftest import TINY

    moody = [
        {"name": "dm", "label": name, "settings": {"encoder": f"tests.studies.moody:{name}", "augment": ""}}
        for name in ("deadly", "broken")
    ]
    home = tmp_path_factory.mktemp("study")
    told = {**TINY, "data": str(toy.path), "per_class": 1, "methods": [*TINY["methods"][:2], *moody, "mdm"]}
    told |= {"storage": ["uint8"], "evaluate": {**TINY["evaluate"], "channels": 8}}
    (home / "tiny.yaml").write_text(yaml.safe_dump(told))
    return home, main(["study", str(home / "tiny.yaml"), "--out", str(home / "out"), "--workers", "1"])


@pytest.fixture
def found(made):
    return json.loads((made[0] / "out" / "comparison.json").read_text())


def test_a_failed_cell_is_told_and_the_rest_is_finished(made, found):
    assert made[1] == 1  # a process that dies is not the user's input
    states = {cell["name"]: cell["state"] for cell in found["cells"]}
    assert states == {
        f"{method}-1-s0{storage}": "done" if method in ("random", "dm") else "failed"
        for method in ("random", "dm", "deadly", "broken", "mdm")
        for storage in ("", "-uint8")
    }
    errors = {cell["name"]: cell["error"] for cell in found["cells"] if cell["error"]}
    assert errors["mdm-1-s0"]["kind"] == "ConfigError"
    assert "no budget by class" in errors["mdm-1-s0"]["what"]
    assert errors["deadly-1-s0"]["kind"] == "StudyError"
    assert "process that worked on it died" in errors["deadly-1-s0"]["what"]
    assert "no checkpoint" in errors["broken-1-s0"]["what"]
    assert "it stands on broken-1-s0" in errors["broken-1-s0-uint8"]["what"]


def test_tables_hold_what_is_done(made, found):
    (table,) = found["comparisons"]
    rows = [(row["label"], row["bytes"]) for row in table["rows"]]
    assert [label for label, _ in rows] == [
        "random · storage fp32", "random · storage uint8", "dm · storage fp32", "dm · storage uint8",
    ]  # fmt: skip
    assert rows[1][1] < rows[0][1] / 3
    # each from the baseline's set that is stored alike
    assert [row["scores"]["fused"].get("difference", {}).get("sets") for row in table["rows"]] == [None, None, 1, 1]
    assert {each["path"] for row in table["rows"] for each in row["sets"]} == {
        f"runs/{name}-1-s0{storage}/results/recognition-avdd-test-convnet.json"
        for name in ("random", "dm")
        for storage in ("", "-uint8")
    }
    assert found["study"]["budgets"] == [{"kind": "per class", "size": 1}]
    out = made[0] / "out"
    for ending in ("txt", "md", "tex"):
        text = (out / f"comparison.{ending}").read_text()
        assert all(word in text for word in ("recognition-avdd v1, last epoch", "random", "95")), ending
    lines = list(csv.DictReader((out / "comparison.csv").read_text().splitlines()))
    assert {line["selection"] for line in lines} == {"last epoch"}
    assert (out / "report.html").stat().st_size > 10_000


def test_compare_takes_a_study_for_all_its_runs(made, found, capsys):
    table = limbeck.compare([made[0] / "out"], baseline="random")
    assert [row["scores"] for row in table["rows"]] == [row["scores"] for row in found["comparisons"][0]["rows"]]
    assert main(["compare", str(made[0] / "out"), "--baseline", "random"]) == 0
    assert "dm · storage uint8" in capsys.readouterr().out


def test_resuming_tries_what_failed_and_leaves_what_is_done(made, tiny, capsys):
    """And a mended study is one whose failed method is another."""
    out = made[0] / "out"
    before = {path: path.stat().st_mtime_ns for path in (out / "runs" / "dm-1-s0").rglob("*") if path.is_file()}
    told = {**tiny, "per_class": [1], "methods": tiny["methods"][:2], "storage": "uint8", "seeds": [0, 1]}
    told["evaluate"]["channels"] = 8
    again = limbeck.study(told, out, workers=1, resume=True)
    assert {cell["state"] for cell in again["cells"]} == {"done"}
    assert len(again["cells"]) == 8
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not capsys.readouterr().err  # progress is asked for
    with pytest.raises(ConfigError, match="a study is here"):
        limbeck.study(told, out)
    for change, words in (
        ({"settings": {**told["settings"], "steps": 9}}, "settings.steps 4 -> 9"),
        ({"evaluate": {**told["evaluate"], "seeds": [7]}}, r"evaluate.seeds \[0, 1\] -> \[7\]"),
    ):
        with pytest.raises(ResumeError, match=words):
            limbeck.study({**told, **change}, out, resume=True)


def test_a_mistake_leaves_no_folder(tiny, tmp_path):
    for change in ({"methods": ["avd"]}, {"data": "nowhere"}):
        with pytest.raises(limbeck.errors.LimbeckError):
            limbeck.study({**tiny, **change}, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(ResumeError, match="no study was started here"):
        limbeck.study(tiny, tmp_path / "out", resume=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(ConfigError, match="not an empty folder"):
        limbeck.study(tiny, tmp_path / "out")


def test_one_process_works_on_a_study(tiny, tmp_path):
    from filelock import FileLock

    (tmp_path / "out").mkdir()
    with FileLock(str(tmp_path / "out" / ".lock")), pytest.raises(ResumeError, match="another process"):
        limbeck.study(tiny, tmp_path / "out")
