"""Figures: one page each that needs no other, drawn from the sets and scores of its cells."""

from __future__ import annotations

import re

import pytest

from limbeck.data.toy import make_toy
from limbeck.recipes import scale
from limbeck.recipes.run import run_recipe

TINY = scale.Scale(
    "small",
    sets=1,
    students=1,
    published=False,
    run={"steps": 10, "channels": 8, "real_batch": 8, "group": 4, "real_group": 4},
    methods={"davdd": {"members": 1, "decouplers": 1, "hidden": 8}},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Items for twenty of factor 2 in each class."""
    folder = tmp_path_factory.mktemp("figures") / "store"
    return make_toy(folder, classes=2, per_class=(80, 0, 6), image_size=8, mel=(8, 8))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("figures") / "out"


def page(name, store, out, monkeypatch, *cells):
    monkeypatch.setitem(scale.SCALES, "small", TINY)
    result = run_recipe(name, store, cells=cells, scale="small", out=out, kernels="literal", device="cpu", threads=1)
    assert not [cell for cell in result["cells"] if "error" in cell]
    found = (out / f"{name}.html").read_text()
    assert result["page"] == str(out / f"{name}.html")
    assert not re.findall(r"(?:src|href)=[\"\'](?!data:|#)", found)  # nothing is fetched
    assert "not comparable" in found
    return found


def test_accuracy_against_steps(store, out, monkeypatch):
    cells = ("vggs10k/10/random/dm/factor1", "vggs10k/10/random/avdd/factor1")
    found = page("avdd.figure10", store, out, monkeypatch, *cells)
    lines = re.findall(r'<polyline class="line c(\d)" points="([^"]*)"', found)
    assert [len(points.split()) for _, points in lines] == [6, 6]  # at 0, 2, 4, 6, 8 and 10 steps of 10
    assert "first items: random" in found
    assert "avdd, factor 1" in found


def test_stability_of_losses(store, out, monkeypatch):
    found = page("davdd.figure4", store, out, monkeypatch, "vggs10k/10/avdd", "vggs10k/10/davdd")
    assert found.count("<polyline") == 4
    assert "davdd" in found


def test_the_same_item_under_several_methods(store, out, monkeypatch):
    found = page("davdd.figure5", store, out, monkeypatch, "vggs10k/10/dm", "vggs10k/10/avdd")
    # an item of each of two classes, as chosen and under two methods, with four cells of each modality
    assert found.count("<article") == 2 * 3
    assert found.count("<img") == 2 * 3 * 2 * 4
    assert found.count("as chosen</p>") == 2


def test_the_three_nearest(store, out, monkeypatch):
    found = page("avdd.figure7", store, out, monkeypatch, "vggs10k/20/avdd")
    assert found.count("<article") == 2 * 2 * 4  # directions, classes, the query and three matches
    assert found.count("asked: ") >= 4
    assert found.count("<audio controls") == 2 * (1 + 3)
