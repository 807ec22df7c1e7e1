"""Cells by pairs are distilled, scored twice where they were published under two protocols, and timed."""

from __future__ import annotations

import json

import pytest

from limbeck.cli import main
from limbeck.data.toy import make_toy
from limbeck.files import read_json
from limbeck.recipes import recipe, scale
from limbeck.recipes.run import run_recipe
from limbeck.recipes.timing import timing

STEPS = 2
SMALL = {"experts": 2, "expert_batch": 32}
TINY = scale.Scale(
    "small",
    sets=1,
    students=1,
    published=False,
    run={"steps": STEPS},
    pairs={"tower": "patches", "captions": "hashing", "validate": "none"},
    methods={
        "mdm": {**SMALL, "expert_epochs": 2, "pool": 1},
        "lors": {**SMALL, "inner_steps": 2},
    },
)
MACHINE = {"kernels": "literal", "device": "cpu", "threads": 1}
RECALLS = {"IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "Mean"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The small scale, smaller still."""
    monkeypatch.setitem(scale.SCALES, "small", TINY)


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    """120 training pictures of 16 x 16 with a caption each."""
    folder = tmp_path_factory.mktemp("captioned") / "store"
    return make_toy(folder, modalities=("image", "text"), per_class=(30, 3, 5))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("image_text") / "out"


def run(name, store, out, *cells):
    result = run_recipe(name, store, cells=cells, scale="small", out=out, **MACHINE)
    assert not [cell["error"] for cell in result["cells"] if "error" in cell]
    return {cell["name"]: cell for cell in result["cells"]}


def test_a_coreset_and_the_whole_split(captioned, out):
    found = run("mdm.table1", captioned, out, "flickr8k/100/random", "flickr8k/whole")
    random, whole = found["flickr8k/100/random"]["ours"], found["flickr8k/whole"]["ours"]
    assert set(random["scores"]) == {"Mean"}  # what is published of it
    assert set(whole["scores"]) == RECALLS
    assert 0 <= random["scores"]["Mean"]["mean"] <= 100
    (score,) = (out / "sets").glob("random-100-*/0/scores/*.json")
    assert read_json(score)["protocol"] == "retrieval-frozen-heads"
    assert "not comparable" in (out / "mdm.table1.md").read_text()


def test_lors_is_distilled_once_and_scored_twice(captioned, out):
    found = run("mdm.table1", captioned, out, "flickr8k/100/lors")
    assert list(found) == ["flickr8k/100/lors", "flickr8k/100/lors/as-published"]
    (folder,) = (out / "sets").glob("lors-100-*/0")
    scores = [read_json(file) for file in folder.glob("scores/*.json")]
    assert len(scores) == 2
    assert {bool(score.get("as_published")) for score in scores} == {False, True}
    assert all(set(cell["ours"]["scores"]) == RECALLS for cell in found.values())


def test_mdm_in_three_tables_is_one_run_and_its_steps_are_timed(captioned, out):
    run("mdm.table1", captioned, out, "flickr8k/100/mdm")
    (folder,) = (out / "sets").glob("mdm-100-*/0")
    began = (folder / "config.json").stat().st_mtime_ns
    timed = run("mdm.table3", captioned, out, "flickr8k/100/mdm")["flickr8k/100/mdm"]["ours"]
    again = run("mdm.ablation_loss", captioned, out, "flickr8k/100/terms/both")
    assert again["flickr8k/100/terms/both"]["ours"]["students"] == 1
    assert [f.stat().st_mtime_ns for f in (out / "sets").glob("mdm-100-*/0/config.json")] == [began]
    assert timed["scores"]["s/step"]["mean"] > 0
    assert timed == timing([folder])
    page = (out / "mdm.table3.md").read_text()
    assert "| flickr8k/100/mdm | s/step | 1.72 |" in page
    assert page.count("| 1 |") == 2  # one run, and no students


def test_a_run_that_is_timed(tmp_path):
    """Median of the steps; minutes until the first of the best looks."""
    lines = [{"step": k, "seconds": seconds} for k, seconds in enumerate((2, 4, 6, 8, 100), start=1)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert timing([tmp_path]) is None
    (tmp_path / "synthetic").mkdir()
    assert timing([tmp_path])["scores"]["min"]["mean"] == pytest.approx(2 * 5 / 60)
    looks = [{"step": step, "score": score} for step, score in ((0, 1.0), (3, 7.0), (5, 7.0))]
    (tmp_path / "validation.json").write_text(json.dumps({"looks": looks}))
    found = timing([tmp_path])
    assert found["scores"]["s/step"] == {"mean": 2, "std": None, "n": 1}
    assert found["scores"]["min"]["mean"] == pytest.approx(2 * 3 / 60)


def test_small_scale_needs_no_weights_and_leaves_what_a_cell_is_about():
    for cell in recipe("mdm.table2").cells:
        before, now = cell.scoring, TINY.scoring(cell)
        assert now.protocol == "retrieval-frozen-heads"
        assert now.student == ("patches" if before.student == "nfnet" else "convnet")
        assert now.captions == "hashing"
        assert scale.Scale("paper").scoring(cell) == before
    assert [
        scale.scale("small").method_settings(cell)["experts"]
        for cell in recipe("mdm.ablation_model").chosen(["flickr8k/100/experts", "flickr8k/100/model/naive"])
    ] == [2, 2, 5, 10, 20]
    (published,) = recipe("mdm.table1").chosen(["coco/200/lors/as-published"])
    assert TINY.scoring(published).as_published


def test_the_command_line_lists_pairs(captioned, capsys):
    assert main(["recipes", "mdm.table1", "--cell", "flickr8k/500/mdm", "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)
    assert (card["published_best_step"], card["settings"]["pairs"], card["settings"]["lr"]) == (50, 500, 1000)
    assert card["cost"]["memory_gb"] is None
    assert "A6000" in card["cost"]["machine"]
    assert main(["recipes", "mdm.table3"]) == 0
    assert "s/step 5.43" in capsys.readouterr().out
    told = ["--data", str(captioned.path), "--scale", "small", "--out", "o", "--cell", "flickr8k/100/nothing"]
    assert main(["recipes", "run", "mdm.table1", *told]) == 2
    assert "no cell 'flickr8k/100/nothing'" in capsys.readouterr().err
