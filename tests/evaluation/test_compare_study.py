"""Comparisons of studies: their labels, their runs, and a baseline that is stored in several ways."""

from __future__ import annotations

import json

import pytest

from limbeck.errors import ConfigError, FormatError
from limbeck.evaluation.compare import compare
from tests.evaluation.made_results import run


def test_a_label_stands_for_a_method_under_its_settings(tmp_path):
    slow = run(tmp_path / "slow", {0: 3.0}, "mdm", 0, {"lr": 0.1})
    fast = run(tmp_path / "fast", {0: 7.0}, "mdm", 0, {"lr": 0.9})
    assert [row["label"] for row in compare([slow, fast])["rows"]] == ["mdm · lr 0.1", "mdm · lr 0.9"]
    with pytest.raises(ConfigError, match="'mdm' is several rows"):
        compare([slow, fast], baseline="mdm")
    rows = compare([slow, fast], labels={slow: "slow", fast: "fast"}, baseline="slow")["rows"]
    assert [(row["label"], row["method"]) for row in rows] == [("slow", "mdm"), ("fast", "mdm")]
    assert rows[1]["scores"]["Mean"]["difference"]["mean"] == 4


def test_a_baseline_in_several_storages_is_the_one_that_is_stored_alike(tmp_path):
    scores = {("random", "fp32"): 1.0, ("random", "uint8"): 2.0, ("mdm", "fp32"): 5.0, ("mdm", "uint8"): 9.0}
    runs = []
    for (method, storage), score in scores.items():
        made = run(tmp_path / f"{method}-{storage}", {0: score}, method, 0, {"storage": storage})
        for place in ("synthetic/synthetic.json", "results/a.json"):  # a packed run has a hash of its own
            text = (made / place).read_text()
            (made / place).write_text(text.replace(f'"{method}0"', f'"{method}-{storage}"'))
        runs.append(made)
    rows = compare(runs, baseline="random")["rows"]
    differences = {row["label"]: row["scores"]["Mean"].get("difference") for row in rows}
    assert {name: found and found["mean"] for name, found in differences.items()} == {
        "random · storage fp32": None,
        "random · storage uint8": None,
        "mdm · storage fp32": 4.0,
        "mdm · storage uint8": 7.0,
    }


def test_a_study_is_the_runs_it_has_begun(tmp_path):
    for name, score in (("a", 1.0), ("b", 4.0)):
        run(tmp_path / "runs" / name, {0: score}, "mdm", 0, {"lr": score})
    run(tmp_path / "runs" / "begun", {0: 1.0}, "mdm", 1)
    (tmp_path / "runs" / "begun" / "results" / "a.json").unlink()
    cells = {name: {"label": f"the {name}"} for name in ("b", "a", "begun", "not-yet")}
    (tmp_path / "study.json").write_text(json.dumps({"cells": cells}))
    found = compare([tmp_path])
    assert [row["label"] for row in found["rows"]] == ["the b", "the a"]
    assert found["left_out"] == [{"path": str(tmp_path / "runs" / "begun"), "why": "not scored yet"}]
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(FormatError, match="not the file of a study"):
        compare([tmp_path])


def test_a_baseline_that_failed_in_one_storage_is_no_error(tmp_path):
    runs = {}
    for method, storage in (("random", "fp32"), ("random", "fp16"), ("mdm", "uint8")):
        path = run(tmp_path / f"{method}-{storage}", {0: 1.0}, method, 0, {"storage": storage})
        for place in ("synthetic/synthetic.json", "results/a.json"):
            text = (path / place).read_text()
            (path / place).write_text(text.replace(f'"{method}0"', f'"{method}-{storage}"'))
        runs[path] = method
    found = compare(list(runs), labels=runs, baseline="random")
    assert any("mdm" in note and "random has no row" in note for note in found["notes"])
