"""Real and synthetic items in the plane: who is drawn, in which colour, always alike, and what is told where not."""

from __future__ import annotations

import json
import re
import shutil
import sys
import types

import numpy as np
import pytest
import torch

from limbeck.banks import frozen
from limbeck.cli import main
from limbeck.errors import ConfigError, DataError, MissingDependencyError
from limbeck.report import projection, write_report
from limbeck.report.projection import check_projection, project
from limbeck.synthetic import SyntheticSet

POINT = re.compile(r"M(\S+) (\S+)h0")


@pytest.fixture
def toy_set(toy):
    """Three items of each class, the real ones at ``away`` 0, with noise on them else."""

    def made(away=0.0, factor=1, **settings):
        rows = np.concatenate([toy.rows("train", c)[:3] for c in range(4)])
        draw = torch.Generator().manual_seed(0)
        values = {n: toy.batch(n, rows) for n in toy.modalities}
        values = {n: x + away * torch.randn(x.shape, generator=draw) for n, x in values.items()}
        about = {
            "method": "dm",
            "settings": {"per_class": 3, "channels": 8, **settings},
            "data": {"name": "toy", "path": str(toy.path), "hash": toy.data_hash},
            "steps_done": 5,
        }
        labels = torch.from_numpy(toy.labels[rows].copy())
        return SyntheticSet(
            dict(toy.modalities), values, labels=labels, classes=toy.classes, factor=factor, provenance=about
        )

    return made


@pytest.fixture
def quick(monkeypatch):
    """Two directions of the embeddings instead of a search of many seconds."""
    monkeypatch.setattr(projection, "_tsne", lambda rows, _: rows[:, :2].astype(np.float64))


def places(dots):
    return np.array([[float(x), float(y)] for d in dots for x, y in POINT.findall(d.path)])


@pytest.mark.usefixtures("quick")
def test_every_item_has_its_dot_and_its_class(toy, toy_set):
    found = project(toy_set(0.5), toy_set(), "tsne", "cpu")
    assert [panel.name for panel in found.panels] == list(toy.modalities)
    assert [d.label for d in found.legend] == list(toy.classes)
    for panel in found.panels:
        assert panel.counts == (80, 12, 12)
        for kind, each in ((panel.real, 20), (panel.initial, 3), (panel.distilled, 3)):
            assert [d.label for d in kind] == list(toy.classes)
            assert [len(POINT.findall(d.path)) for d in kind] == [each] * 4
        assert {(d.label, d.hue) for d in panel.real} == {(d.label, d.hue) for d in found.legend}
        every = places([*panel.real, *panel.initial, *panel.distilled])
        assert every.min() >= projection.MARGIN - 0.1
        assert every.max() <= found.side - projection.MARGIN + 0.1


@pytest.mark.usefixtures("quick")
def test_items_that_are_real_lie_on_their_real_ones(toy_set):
    for panel in project(toy_set(), None, "tsne", "cpu").panels:
        real, own = places(panel.real), places(panel.distilled)
        assert panel.initial == []
        assert all((np.abs(real - xy).max(1) < 0.11).any() for xy in own)
    moved = project(toy_set(3.0), None, "tsne", "cpu").panels[0]
    assert not all((np.abs(places(moved.real) - xy).max(1) < 0.11).any() for xy in places(moved.distilled))


@pytest.mark.usefixtures("quick")
def test_cells_are_drawn_as_the_items_they_decode_to(toy_set):
    for panel in project(toy_set(factor=2), None, "tsne", "cpu").panels:
        assert panel.counts == (80, 0, 48)


@pytest.mark.usefixtures("quick")
def test_many_items_are_thinned_evenly(toy_set, monkeypatch):
    monkeypatch.setattr(projection, "REAL", 40)
    monkeypatch.setattr(projection, "OWN", 8)
    panel = project(toy_set(), None, "tsne", "cpu").panels[0]
    assert [len(POINT.findall(d.path)) for d in panel.real] == [10] * 4
    assert [len(POINT.findall(d.path)) for d in panel.distilled] == [2] * 4


def test_tsne_is_the_same_each_time(toy_set, monkeypatch):
    monkeypatch.setattr(projection, "REAL", 24)
    first, second = (project(toy_set(0.5), None, "tsne", "cpu") for _ in range(2))
    assert first == second
    assert first.how == "t-SNE"
    assert np.unique(places(first.panels[0].real).round(0), axis=0).shape[0] > 12  # spread out


@pytest.mark.usefixtures("quick")
def test_the_encoder_of_the_run_is_used_and_named(toy_set, monkeypatch):
    asked = []

    def frozen_encoders(source, modalities, name, **options):
        asked.append((name, options["pretrained"]))
        return real(source, modalities, "patches", **options)

    real = frozen.frozen_encoders
    monkeypatch.setattr(frozen, "frozen_encoders", frozen_encoders)
    found = project(toy_set(encoder="imagebind", pretrained="none"), None, "tsne", "cpu")
    assert found.through == "the run's frozen encoder patches"
    project(toy_set(encoder="aligned"), None, "tsne", "cpu")
    assert asked == [("imagebind", "none"), ("aligned", "auto")]


def test_umap_takes_the_same_rows(toy_set, monkeypatch):
    asked = {}

    class UMAP:
        def __init__(self, **options):
            asked.update(options)

        def fit_transform(self, rows):
            asked["rows"] = rows.shape
            return rows[:, :2]

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    found = project(toy_set(), None, "umap", "cpu")
    assert found.how == "UMAP"
    assert asked["rows"] == (92, projection.PRINCIPAL)
    assert asked["n_neighbors"] == projection.NEIGHBOURS
    assert project(toy_set(), None, "umap", "cpu") == found


def test_without_umap_the_other_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingDependencyError, match=r"umap-learn.*tsne"):
        check_projection("umap")


def test_an_unknown_projection_is_answered_before_anything_is_read(tmp_path):
    with pytest.raises(ConfigError, match="tsne"):
        write_report(tmp_path / "nothing", projection="t-sne")


@pytest.mark.usefixtures("quick")
def test_the_page_shows_it_where_it_is_asked_for(toy_set, tmp_path, capsys):
    folder = tmp_path / "run"
    synthetic = toy_set(0.5)
    synthetic.save(folder / "synthetic")
    toy_set().save(folder / "initial")
    (folder / "config.json").write_text(json.dumps({"per_class": 3}))
    page = " ".join(write_report(folder).read_text(encoding="utf-8").split())
    assert 'id="plane"' not in page
    assert main(["report", str(folder), "--projection", "tsne"]) == 0
    page = " ".join((folder / "report.html").read_text(encoding="utf-8").split())
    assert 'aria-label="t-SNE of image: 80 real items, 12 as the set began, 12 of the set, coloured by class"' in page
    assert "t-SNE of embeddings through a ConvNet of 8 channels a modality trained on the whole real set" in page
    assert page.count('class="hole"') == 2 * 4 + 1  # and one in the key
    assert 'href="#plane"' in page
    capsys.readouterr()


def test_a_real_set_that_is_gone_is_told(toy, toy_set, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(toy.path, store)
    synthetic = toy_set()
    synthetic.provenance["data"]["path"] = str(store)
    shutil.rmtree(store)
    with pytest.raises(DataError):
        project(synthetic, None, "tsne", "cpu")
    synthetic.provenance["data"] = {}
    with pytest.raises(DataError, match="does not say what it was made from"):
        project(synthetic, None, "tsne", "cpu")


@pytest.mark.usefixtures("quick")
def test_pairs_have_one_colour(toy):
    rows = toy.rows("train")[:6]
    values = {n: toy.batch(n, rows) for n in toy.modalities}
    about = {
        "settings": {"pairs": 6, "channels": 8},
        "data": {"path": str(toy.path), "hash": toy.data_hash},
        "steps_done": 5,
    }
    found = project(SyntheticSet(dict(toy.modalities), values, provenance=about), None, "tsne", "cpu")
    assert (found.legend, found.more) == ([], 0)
    assert [len(panel.real) for panel in found.panels] == [1, 1]
    assert found.panels[0].counts == (80, 0, 6)
