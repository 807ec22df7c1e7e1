"""What a page says of a set's size, of where it comes from, and of how to use it."""

from __future__ import annotations

import ast
import html
import json
import re
import shlex

import pytest

import limbeck
from limbeck.cli import main
from limbeck.modalities import Image, Text
from limbeck.report import write_report
from limbeck.report.about import facts, origin, use
from limbeck.report.read import read_run
from tests.report.pages import RESULT, make_run, read, synthetic_set

RUNS = [{"student": "lenet", "seed": 4, "scores": {"image": 61.04, "fused": 70.0}}]


def run_of(folder, synthetic, result=None, about=None):
    make_run(folder, synthetic, result=result)
    if about:
        (folder / "run.json").write_text(json.dumps(about))
    return read_run(folder)


def test_only_what_was_learnt_is_counted_as_learnt(tmp_path):
    modalities = (Image(shape=(3, 16, 16)), Text(shape=(64,)))
    synthetic = synthetic_set(modalities, 5, labels=False)
    size = {what: f"{value} {unit}" for value, unit, what in facts(run_of(tmp_path / "both", synthetic))}
    assert size["of learnt numbers"] == "16.6 kB"
    synthetic.provenance["settings"] = {"pairs": 5, "fixed": ["text"]}
    run = run_of(tmp_path / "one", synthetic)
    size = {what: f"{value} {unit}" for value, unit, what in facts(run)}
    assert size["of learnt numbers; text as it was chosen, 1.3 kB"] == "15.4 kB"
    page = read(write_report(run.folder, projection="none"))
    assert "Text is as chosen: the run left it alone." in page.text
    assert "Distilled text" not in page.text
    names = [value for tag, name, value in page.attributes if tag == "img" and name == "alt"]
    assert "text: pair 0, as chosen" in names
    assert "image: pair 0, distilled" in names
    packed = synthetic.stored_as("fp16")
    held = [what for _, _, what in facts(run_of(tmp_path / "half", packed))]
    assert "of learnt numbers, kept as fp16; text as it was chosen, 640 B" in held
    synthetic.provenance["steps_done"] = 0
    assert [what for _, _, what in facts(run_of(tmp_path / "chosen", synthetic))][1] == "of numbers"


def test_where_it_comes_from_and_what_makes_it_again(tmp_path):
    synthetic = synthetic_set()
    synthetic.provenance.update(
        data={"name": "farm", "path": "stores/my farm", "hash": "ab" * 32},
        real_items=[["a"]] * 6,
        run_hash="0123456789abcdef",
        versions={"limbeck": "0.1.0", "torch": "2.6"},
        numerics={"device": "cpu", "threads": 2, "real_group": 5, "torch": "2.6", "tf32": None},
        steps_taken=90,
    )
    result = {**RESULT, "as_published": True, "split": "validation"}
    run = run_of(tmp_path / "my run", synthetic, result, {"started": "2026-01-02T03:04:05Z"})
    told = {line.what: line.said for line in origin(run)}
    assert told == {
        "Method": "avdd",
        "Real data": "farm at stores/my farm",
        "Hash of the data": "ab" * 32,
        "Seed": "0",
        "Steps": "30 kept of 90 taken",
        "It began as": "6 real items, named in synthetic.provenance",
        "Hash of the run": "0123456789abcdef",
        "Begun": "2026-01-02T03:04:05Z",
        "Machine": "device cpu, threads 2, real group 5",
        "Versions": "limbeck 0.1.0, torch 2.6",
        "Make it again": "limbeck distill avdd --config 'my run/config.json' --out 'my run-again'",
        "Score it again": "limbeck evaluate 'my run' --protocol recognition-avdd --students convnet --seeds 0,1,2,3,4 "
        "--as-published --split validation",
    }


def test_the_command_makes_the_same_set(toy, tmp_path, monkeypatch, small):
    """Typed where the run folder is, as the page says."""
    limbeck.distill("dm", str(toy.path), out=tmp_path / "run", per_class=1, steps=2, **small)
    (again,) = (line.said for line in origin(read_run(tmp_path / "run")) if line.what == "Make it again")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(again)[1:]) == 0
    first, second = (limbeck.load(tmp_path / name) for name in ("run", "run-again"))
    assert all((first.values[name] == second.values[name]).all() for name in first.values)


def test_the_snippet_trains_the_student_that_was_scored(toy, tmp_path, monkeypatch, small, capsys):
    """Run as it stands on the page."""
    limbeck.distill("dm", str(toy.path), out=tmp_path / "run", per_class=1, steps=1, **small)
    result = limbeck.evaluate(tmp_path / "run", seeds=[3], channels=4, device="cpu", kernels="literal", threads=1)
    page = write_report(tmp_path / "run", projection="none").read_text(encoding="utf-8")
    snippet = html.unescape(re.search(r"<pre.*?><code>(.*?)</code>", page, re.DOTALL)[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("limbeck.evaluation.trained.default_kernels", lambda _: "literal")  # nothing is compiled for it
    assert "seed=3" in snippet
    exec(snippet, {})
    found = ast.literal_eval(capsys.readouterr().out.splitlines()[-1])
    assert found == pytest.approx(result["runs"][0]["scores"], abs=1e-9)


@pytest.mark.parametrize(
    ("result", "settings", "train", "told"),
    [
        (None, {}, "seed=0", ""),
        (None, {"encoder": "imagebind"}, None, ""),
        (RESULT, {}, "seed=0", ""),
        (
            {**RESULT, "runs": RUNS},
            {},
            'seed=4, student="lenet", protocol="recognition-avdd"',
            "limbeck evaluate found for this student: image 61.0, fused 70.0.",
        ),
        ({**RESULT, "runs": RUNS, "protocol": "recognition-frozen-heads"}, {}, None, ""),
        ({**RESULT, "runs": RUNS, "protocol": "retrieval-class"}, {}, None, ""),
        ({**RESULT, "runs": RUNS, "protocol": "no-such"}, {}, "seed=0", ""),
    ],
)
def test_a_student_is_trained_where_one_can_be(tmp_path, result, settings, train, told):
    synthetic = synthetic_set()
    synthetic.provenance["settings"] = settings
    run = run_of(tmp_path / "run", synthetic, result)
    found = use(run)
    assert (found.train, found.told) == (train, told)
    page = " ".join(read(write_report(run.folder, projection="none")).text.split())
    assert ("limbeck.train(" in page) == (train is not None)
    assert (f'limbeck.train("run", {train})' in page) == (train is not None)
