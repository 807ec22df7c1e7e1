"""A run of the toy set, distilled, scored and shown: cost, budget and plane as its page tells them."""

from __future__ import annotations

import json
import re

import pytest

from limbeck.cli import main


@pytest.fixture(scope="module")
def runs(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole_page")
    for size in (1, 3):
        out = str(folder / f"dm-{size}")
        words = [
            "--per-class",
            str(size),
            "--steps",
            "2",
            "--channels",
            "8",
            "--real-batch",
            "8",
            "--kernels",
            "literal",
        ]
        assert main(["distill", "dm", "--data", str(toy.path), "--out", out, "--init", "random", *words]) == 0
        score = ["--seeds", "0:2", "--whole", "--whole-seeds", "0:2", "--kernels", "literal"]
        assert main(["evaluate", out, *score]) == 0
    return folder


def test_results_tell_training_from_scoring(runs):
    result = json.loads((runs / "dm-1" / "result.json").read_text())
    for found in (result, result["whole"]):
        assert 0 < found["training_seconds"] < found["seconds"]


def test_the_page_tells_cost_budget_and_plane(runs, monkeypatch, capsys):
    monkeypatch.setattr("limbeck.report.projection.QUICK", 600.0)
    assert main(["report", str(runs / "dm-1")]) == 0
    page = " ".join((runs / "dm-1" / "report.html").read_text(encoding="utf-8").split())
    assert re.search(r"Distilling has paid for itself after \d+ students?:|It never pays for itself", page)
    assert "mean of 2, with scoring" not in page
    assert "Of 2 runs, this one and those found beside it, which differ in budget and seed alone" in page
    assert "<code>dm-1</code>, <code>dm-3</code>" in page
    assert re.search(
        r"Fused accuracy against items per class\. dm: [\d.]+ at 1 items per class, [\d.]+ at 3 items", page
    )
    assert "trained on the whole real set, 30 epochs (90 updates)" in page
    assert page.count('class="plane"') == 2
    assert all(f'id="{name}"' in page and f'href="#{name}"' in page for name in ("cost", "budget", "plane"))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    capsys.readouterr()


def test_where_it_would_take_long_the_page_names_the_command(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("limbeck.report.projection.QUICK", 1e-6)
    assert main(["report", str(runs / "dm-3"), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="plane"' not in page
    assert f"limbeck report {runs / 'dm-3'} --projection tsne does it." in page
    capsys.readouterr()
