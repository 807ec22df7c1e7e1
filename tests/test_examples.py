"""The examples run, at a reduced size, and what they say is so."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import limbeck
from limbeck.errors import ResumeError

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = ["--threads", "1", "--kernels", "literal"]


def run(name, *words, cwd):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words, *QUICK], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_clips_become_a_set_that_others_load(tmp_path):
    words = ["--each", "4", "--size", "16", "--steps", "2", "--students", "1", "--method", "dm"]
    said = run("own_clips/run.py", *words, cwd=tmp_path)
    assert "prepared: {'train': 9, 'test': 3}" in said
    out = tmp_path / "runs" / "own_clips"
    synthetic = limbeck.load(out / "run")
    assert synthetic.classes == ("disc", "square", "stripes")
    assert list(synthetic.modalities) == ["image", "audio"]
    assert (out / "run" / "report.html").exists()
    for to in ("folder", "huggingface"):
        assert "not recorded: fill this in" in (out / to / "README.md").read_text()
        assert len(limbeck.load(out / to)) == 3
    # what it made is also what a user has, and a second run goes on
    again = run("own_clips/run.py", str(out / "clips"), *words, cwd=tmp_path)
    assert again.splitlines()[:4] == said.splitlines()[:4]


def test_a_folder_without_clips_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "own_clips" / "run.py"), str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "LABEL/NAME.mp4" in done.stderr
    assert "Traceback" not in done.stderr


def test_architectures_are_searched(tmp_path):
    words = ["--data", "toy", "--per-class", "1", "--steps", "2", "--seeds", "2", "--candidates", "convnet:2,convnet:8"]
    said = run("architecture_search/search.py", *words, "--out", "out", cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "search.json").read_text())
    assert [row["candidate"] for row in found["rows"]] == ["convnet:2", "convnet:8"]
    assert (found["candidates"], found["students_each"]) == (2, 2)
    for on in ("distilled", "whole"):
        total = sum(row[on]["seconds"] for row in found["rows"])
        assert total == pytest.approx(found["seconds_searching" if on == "distilled" else "seconds_whole"])
    assert found["seconds_whole"] > found["seconds_searching"]
    assert "over 2 candidates, 2 students each" in said
    assert (tmp_path / "out" / "set" / "synthetic").is_dir()


def test_what_a_search_says_of_its_numbers():
    search = loaded("architecture_search/search.py", "example_search")

    def row(name, small, large):
        return {"candidate": name, "distilled": {"mean": small, "seconds": 1.0}, "whole": {"mean": large, "seconds": 5}}

    found = search.compared([row("a", 50, 90), row("b", 70, 80), row("c", 60, 70)], 6.0, 2)
    assert found["rank_correlation"] == pytest.approx(-0.5)
    assert (found["chosen"], found["regret"]) == ("b", 10)
    assert found["pays_after"] == pytest.approx(1.5)  # 6 s, of which each candidate gives 4 back
    slower = search.compared([row("a", 1, 1), {**row("b", 2, 2), "whole": {"mean": 2, "seconds": -9}}], 6.0, 2)
    assert slower["pays_after"] is None


def test_a_search_takes_no_other_runs_set_for_its_own(tmp_path):
    search = loaded("architecture_search/search.py", "example_search")
    asked = {"method": "random", "data": "toy", "per_class": 1, "steps": None, "threads": 1, "kernels": "literal"}
    seconds = search.distilled(tmp_path / "set", argparse.Namespace(**asked, seed=0))
    assert search.distilled(tmp_path / "set", argparse.Namespace(**asked, seed=0)) == seconds
    with pytest.raises(ResumeError, match="seed 0 -> 1"):
        search.distilled(tmp_path / "set", argparse.Namespace(**asked, seed=1))


# -- the new method ----------------------------------------------------------------------------------------------------


def loaded(name, module):
    spec = importlib.util.spec_from_file_location(module, EXAMPLES / name)
    found = importlib.util.module_from_spec(spec)
    sys.modules[module] = found  # dataclasses look their module up
    try:
        spec.loader.exec_module(found)
    finally:
        del sys.modules[module]
    return found


@pytest.fixture
def sliced(monkeypatch):
    """The example's module; its method is known for one test only."""
    from limbeck.methods import base, methods

    methods()  # all there are, before the registry is put aside
    monkeypatch.setattr(base, "REGISTRY", dict(base.REGISTRY))
    monkeypatch.setattr("limbeck.methods.REGISTRY", base.REGISTRY)
    return loaded("new_method/sliced.py", "example_sliced")


def lines(count, width, dtype=torch.float64):
    draw = torch.Generator().manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(count, width, generator=draw, dtype=dtype), dim=1)


def test_the_method_fits_into_sixty_lines():
    assert len((EXAMPLES / "new_method" / "sliced.py").read_text().splitlines()) <= 60


def test_its_gradient_is_right(sliced):
    draw = torch.Generator().manual_seed(0)
    real = torch.randn(7, 3, generator=draw, dtype=torch.float64)
    synthetic = torch.randn(4, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sliced.sliced_wasserstein(real, x, lines(5, 3)), (synthetic,))


def test_its_values_are_those_known_in_closed_form(sliced):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=draw, dtype=torch.float64)
    assert sliced.sliced_wasserstein(x, x[[3, 1, 0, 5, 4, 2]], lines(8, 4)) > 0  # 5 gaps between 6 points: not the rows
    one, other = x[:1], x[1:2]
    every = torch.eye(4, dtype=torch.float64)  # the mean over an orthonormal base is exact
    assert torch.allclose(sliced.sliced_wasserstein(one, other, every), (one - other).square().sum())
    line = torch.tensor([[1.0]], dtype=torch.float64)
    real = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)
    # quantiles 1/4 and 3/4 of 0..4 are 1 and 3, in any order
    assert sliced.sliced_wasserstein(real, torch.tensor([[3.0], [1.0]], dtype=torch.float64), line) == 0
    assert sliced.sliced_wasserstein(real, torch.tensor([[3.0], [2.0]], dtype=torch.float64), line) == 0.5


SETTINGS = {
    "per_class": 2, "init": "random", "factor": 1, "kernels": "literal", "channels": 8, "threads": 1, "device": "cpu",
    "real_batch": 20, "group": 4, "real_group": 4, "steps": 4,
}  # fmt: skip


@pytest.mark.usefixtures("sliced")
def test_it_lowers_its_own_loss(toy):
    from limbeck.engine.initial import initial_set
    from limbeck.engine.loop import Loop
    from limbeck.engine.plan import plan

    planned = plan("sliced", toy, settings={**SETTINGS, "momentum": 0.0})
    loop = Loop(planned, initial_set(toy, planned.settings, planned.numerics, {}))
    losses = []
    for _ in range(15):  # on the draws of one step, so that the fall is not the luck of the draw
        loop.step = 0
        losses.append(sum(next(loop.run(1)).terms.values()))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.usefixtures("sliced")
def test_a_cut_run_of_it_resumes_to_the_same_bits(toy, tmp_path, monkeypatch):
    from limbeck.engine import run as engine

    whole = limbeck.distill("sliced", toy, out=tmp_path / "whole", method_settings={"directions": 8}, **SETTINGS)
    assert whole.provenance["settings"]["method"] == {"directions": 8}

    class Cut(Exception):
        pass

    def cut(folder, state, write=engine.write_checkpoint):
        write(folder, state)
        if state.step == 2:
            raise Cut

    monkeypatch.setattr(engine, "write_checkpoint", cut)
    cut_run = {**SETTINGS, "checkpoint_every": 0}
    with pytest.raises(Cut):
        limbeck.distill("sliced", toy, out=tmp_path / "cut", method_settings={"directions": 8}, **cut_run)
    monkeypatch.setattr(engine, "write_checkpoint", cut.__defaults__[0])
    again = limbeck.distill("sliced", out=tmp_path / "cut", resume=True)
    assert all(torch.equal(whole.values[name], value) for name, value in again.values.items())


def test_it_stands_beside_others_in_one_table(tmp_path):
    words = ["--data", "toy", "--steps", "2", "--sets", "1", "--students", "1", "--out", "out"]
    said = run("new_method/run.py", *words, cwd=tmp_path)
    for method in ("random", "dm", "sliced"):
        assert f"| {method} | 1 per class | 1 x 1 |" in said
