"""Cells are distilled and scored once, survive a kill, and stand beside what was published."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

import limbeck
from limbeck.cli import main
from limbeck.errors import ConfigError, DataError
from limbeck.recipes import scale
from limbeck.recipes.run import run_recipe

STEPS = 30
TINY = scale.Scale(
    "small",
    sets=1,
    students=2,
    published=False,
    run={"steps": STEPS, "channels": 8, "real_batch": 8, "group": 4, "real_group": 4, "checkpoint_every": 0.0},
)
MACHINE = {"kernels": "literal", "device": "cpu", "threads": 1}
DM, AVDD = "ave/1/dm", "ave/1/avdd"


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The small scale, smaller still."""
    monkeypatch.setitem(scale.SCALES, "small", TINY)


def run(toy, out, *cells, **more):
    return run_recipe("avdd.table3", toy, cells=cells, scale="small", out=out, **MACHINE, **more)


def work(store: Path, out: Path, cache: str) -> None:
    os.environ["LIMBECK_CACHE"] = cache
    scale.SCALES["small"] = TINY
    run(store, out, DM, AVDD)


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["limbeck.engine.run", "limbeck.evaluation.run", "limbeck.recipes.run"])
    return context


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    out = tmp_path_factory.mktemp("recipes") / "out"
    before = scale.SCALES["small"]
    scale.SCALES["small"] = TINY
    result = run(toy, out, DM, AVDD)
    scale.SCALES["small"] = before
    return out, result


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else -1


def test_ours_stands_beside_the_published_figure(finished):
    out, result = finished
    dm, avdd = result["cells"]
    assert (dm["name"], avdd["name"]) == (DM, AVDD)
    assert avdd["published"] == {"fused": {"mean": 23.0, "std": 1.37, "missing": None}}
    assert (avdd["ours"]["sets"], avdd["ours"]["students"]) == (1, 2)
    assert avdd["ours"]["scores"]["fused"]["n"] == 2
    assert avdd["ours"]["scores"]["fused"]["mean"] > 30  # of four easy classes
    assert any("small scale" in note for note in result["notes"])
    assert any("toy is not AVE" in note or "store is not AVE" in note for note in result["notes"])
    page = (out / "avdd.table3.md").read_text()
    assert "| ave/1/avdd | fused | 23.00 ± 1.37 |" in page
    assert json.loads((out / "avdd.table3.json").read_text()) == result


def test_what_is_finished_is_not_done_again(finished, toy, monkeypatch):
    out, result = finished
    for name in ("limbeck.engine.run.distill", "limbeck.evaluation.run.evaluate"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("was done again"))
    assert run(toy, out, DM, AVDD) == result
    # VGGS-10K's cell asks for the same set and score; so does the whole row of table 4
    assert run(toy, out, "vggs10k/1/avdd")["cells"][0]["ours"] == result["cells"][1]["ours"]
    known = [cell["name"] for cell in json.loads((out / "avdd.table3.json").read_text())["cells"]]
    assert known == ["vggs10k/1/avdd", DM, AVDD]


@pytest.mark.parametrize("point", ["distilling the second", "scoring"])
def test_killed_and_run_again(finished, toy, tmp_path, processes, point, own_cache):
    out = tmp_path / "out"
    arguments = (toy.path, out, str(own_cache))
    process = processes.Process(target=work, args=arguments)
    process.start()
    while process.is_alive():
        logs = {p.parent.parent.name.partition("-")[0]: lines(p) for p in out.glob("sets/*/0/metrics.jsonl")}
        scored = len(list(out.glob("sets/*/0/scores/*.json")))
        reached = {
            "distilling the second": logs.get("avdd", -1) > STEPS // 2,
            "scoring": scored == 0 and any(out.glob("sets/dm*/0/synthetic")),
        }
        if reached[point]:
            break
        time.sleep(0.0005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    first = {p: p.stat().st_mtime_ns for p in out.glob("sets/*/0/synthetic/synthetic.safetensors")}
    result = run(toy, out, DM, AVDD)
    assert result["cells"] == finished[1]["cells"]
    assert all(path.stat().st_mtime_ns == before for path, before in first.items())
    for folder in out.glob("sets/*/0"):
        again, whole = limbeck.load(folder), limbeck.load(finished[0] / folder.relative_to(out))
        assert all(torch.equal(again.values[k], v) for k, v in whole.values.items())
    if point.startswith("distilling"):
        assert "resumed after step" in next(out.glob("sets/avdd*/0/log")).read_text()


def test_a_half_made_set_of_a_method_with_settings_in_pairs_goes_on(toy, tmp_path, monkeypatch):
    """Tuples given again are the lists that config.json holds."""
    from limbeck.engine.run import distill
    from limbeck.recipes import recipe

    (cell,) = recipe("avdd.table3").chosen(["ave/1/mtt"])
    monkeypatch.setattr("limbeck.engine.run._execute", lambda *_: "went on")
    for resume in (False, True):
        own = cell.method_settings
        assert distill("mtt", toy, out=tmp_path, resume=resume, method_settings=own, **MACHINE) == "went on"


def test_a_coreset_without_a_draw_is_one_set_and_a_drawn_one_several(toy, tmp_path):
    herding, random = run(toy, tmp_path, "ave/1/herding", "ave/1/random", seeds=[0, 1])["cells"][::-1]
    assert (herding["ours"]["sets"], herding["ours"]["scores"]["fused"]["n"]) == (1, 2)
    assert (random["ours"]["sets"], random["ours"]["scores"]["fused"]["n"]) == (2, 4)


def test_a_row_stays_what_it_was_when_other_cells_are_run_with_other_seeds(toy, tmp_path):
    run(toy, tmp_path, "ave/1/random", seeds=[0, 1])
    for seeds in ([0], [2]):
        run(toy, tmp_path, "ave/1/herding", seeds=seeds)
        kept = json.loads((tmp_path / "avdd.table3.json").read_text())["cells"]
        assert [(row["name"], row["ours"]["sets"]) for row in kept] == [("ave/1/random", 2), ("ave/1/herding", 1)]


def test_a_cell_that_fails_does_not_keep_the_others_from_running(toy, tmp_path):
    # the toy's classes have 20 items: 10 items of factor 2 need 40
    found = run(toy, tmp_path, "ave/1/random", "ave/10/avdd")["cells"]
    assert found[0]["ours"] is not None
    assert "fewer than the 40" in found[1]["error"]
    assert found[1]["ours"] is None
    with pytest.raises(DataError, match="fewer than the 40"):
        run(toy, tmp_path, "ave/10/avdd")


def test_a_folder_is_of_one_store_and_scale(toy, tmp_path):
    run(toy, tmp_path, "ave/1/random")
    table = tmp_path / "avdd.table3.json"
    table.write_text(json.dumps(json.loads(table.read_text()) | {"data_hash": "another"}))
    with pytest.raises(ConfigError, match="Choose another --out"):
        run(toy, tmp_path, "ave/1/random")


def test_without_cells_the_stores_own_are_run(toy, tmp_path, monkeypatch):
    from limbeck.recipes import datasets

    own = datasets.DataSet("a toy", "toy", classes=4, train=80, test=20)
    monkeypatch.setitem(datasets.DATASETS, "music21", own)
    done = []
    monkeypatch.setattr("limbeck.recipes.run.run_cell", lambda _, cell: done.append(cell.name))
    run(toy, tmp_path)
    assert len(done) == 22
    assert all(name.startswith("music21/") for name in done)


@pytest.mark.parametrize(
    ("table", "cell", "told"),
    [
        ("avdd.table2", "vggs10k/1/sum", {"fusion": "sum", "protocol": "recognition-avdd"}),
        ("avdd.table5", "vggs10k/1/dm/vgg11", {"students": ("vgg11",)}),
        ("avdd.table6", "ave/whole", {"protocol": "retrieval-class", "data": None}),
        ("avdd.table12", "ave/20/pretrained", {"weights": Path("weights.safetensors")}),
    ],
)
def test_what_scoring_is_told(toy, tmp_path, monkeypatch, table, cell, told):
    asked = {}

    def evaluate(*_, **settings):
        asked.update(settings)
        return {"mean": {"fused": 1.0}, "runs": [{"scores": {"fused": 1.0}}]}

    monkeypatch.chdir(tmp_path)
    Path("weights.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("limbeck.engine.run.distill", lambda *_, **settings: settings["out"].mkdir(parents=True))
    monkeypatch.setattr("limbeck.evaluation.run.evaluate", evaluate)
    run_recipe(table, toy, cells=[cell], scale="small", out=tmp_path / "out", weights="weights.safetensors", **MACHINE)
    assert asked | told == asked
    assert list(asked["seeds"]) == [0, 1]


def test_students_that_start_from_given_weights(toy, tmp_path):
    with pytest.raises(ConfigError, match="--weights"):
        run_recipe("avdd.table12", toy, cells=["ave/20/pretrained"], scale="small", out=tmp_path, **MACHINE)


def test_the_command_line(toy, tmp_path, capsys):
    told = ["--data", str(toy.path), "--scale", "small", "--out", str(tmp_path), "--device", "cpu"]
    arguments = ["recipes", "run", "avdd.table3", "--cell", "ave/1/random", *told, "--kernels", "literal"]
    assert main([*arguments, "--json"]) == 0
    said = capsys.readouterr()
    assert [cell["name"] for cell in json.loads(said.out)["cells"]] == ["ave/1/random"]
    assert "not comparable" in said.err
    assert main(arguments) == 0
    assert "10.07" in capsys.readouterr().out
    failing = [a if a != "ave/1/random" else "ave/1/random,ave/20/avdd" for a in arguments]
    assert main(failing) == 2
    said = capsys.readouterr()
    assert "not run: ave/20/avdd" in said.err
    assert "10.07" in said.out


def test_listing(capsys):
    assert main(["recipes", "--json"]) == 0
    (table,) = [r for r in json.loads(capsys.readouterr().out) if r["name"] == "avdd.table3"]
    assert (table["cells"], table["published"]["fused"]) == (88, [1.38, 85.93])
    assert main(["recipes", "avdd.table3", "--cell", "ave/10/avdd", "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)
    assert cell["settings"]["steps"] == 5000
    assert cell["cost"]["estimate"] is True
    assert main(["recipes", "avdd.table3", "--cell", "ave/10"]) == 0
    assert "36.82 ± 0.88" in capsys.readouterr().out
    assert main(["recipes"]) == 0
    assert "davdd.table2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["avdd.table33"], ["avdd.table3"]),
        (["run"], ["recipes takes one table"]),
        (["run", "avdd.table3"], ["no --data"]),
        (["run", "avdd.table3", "--data", "nowhere"], ["nowhere"]),
        (["run", "avdd.table3", "--data", "toy", "--scale", "smal"], ["'small'"]),
        (["run", "avdd.table3", "--data", "toy", "--cell", "ave/3"], ["no cell 'ave/3'"]),
        (["run", "avdd.table3", "--data", "toy", "--seeds", "x"], ["seeds are 'x'"]),
    ],
)
def test_mistakes_are_explained(arguments, words, capsys):
    assert main(["recipes", *arguments]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words)
    assert "Traceback" not in said
