"""What a page looks through: trained once on the whole real set, kept, and told where it would take too long."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.data.pairs import Pairs
from limbeck.data.real_items import RealItems
from limbeck.evaluation.protocols import protocol
from limbeck.evaluation.recognition import evaluate_recognition
from limbeck.report import projection, trained
from limbeck.report.projection import plane_of
from limbeck.report.trained import TooSlow, eye_of
from limbeck.synthetic import SyntheticSet


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made(toy):
    def make(**settings):
        rows = toy.rows("train")[:8]
        values = {n: toy.batch(n, rows) for n in toy.modalities}
        about = {
            "settings": {"per_class": 2, "channels": 8, **settings},
            "data": {"name": "toy", "path": str(toy.path), "hash": toy.data_hash},
        }
        labels = torch.from_numpy(np.asarray(toy.labels)[rows].copy())
        return SyntheticSet(dict(toy.modalities), values, labels=labels, classes=toy.classes, provenance=about)

    return make


def seen(eye, toy, name="image"):
    rows = np.concatenate([toy.rows("validation", c) for c in range(len(toy.classes))])
    return eye.embed(name, toy.batch(name, rows))


def test_it_is_the_whole_data_student_of_seed_0(cache, toy, made, tmp_path):
    from safetensors.torch import load_file

    eye = eye_of(made(), RealItems(toy))
    assert "30 epochs (90 updates)" in eye.told
    (kept,) = cache.glob("planes/*/network.safetensors")
    evaluate_recognition(None, toy, seeds=[0], channels=8, save_weights=tmp_path / "students")
    (file,) = (tmp_path / "students").glob("*.safetensors")
    student = load_file(file)
    ours = load_file(kept)
    shared = [name for name in ours if name in student]
    assert shared
    assert all(torch.equal(ours[name], student[name]) for name in shared)


@pytest.mark.usefixtures("cache")
def test_it_is_trained_once(toy, made, monkeypatch):
    first = seen(eye_of(made(), RealItems(toy)), toy)
    monkeypatch.setattr("limbeck.training.train", lambda *_, **__: pytest.fail("trained again"))
    assert torch.equal(seen(eye_of(made(), RealItems(toy), limit=0.0), toy), first)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        eye_of(made(channels=4), RealItems(toy))


@pytest.mark.usefixtures("cache")
def test_many_updates_are_cut_and_told(toy, made, monkeypatch):
    monkeypatch.setattr(trained, "UPDATES", 10)
    eye = eye_of(made(), RealItems(toy))
    assert eye.told.endswith("3 epochs instead of the protocol's 30 (9 updates)")
    recipe = trained._capped(protocol("recognition-avdd").recipe, 3)
    assert (recipe.epochs, recipe.drops) == (3, (1, 2))


def test_too_slow_is_told_before_it_is_trained(cache, toy, made):
    with pytest.raises(TooSlow):
        eye_of(made(), RealItems(toy), limit=1e-6)
    assert not list(cache.rglob("network.safetensors"))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("settings", [{"pairs": 6}, {"pairs": 6, "tower": "patches", "frozen": True}])
def test_pairs_are_seen_through_towers(toy, made, monkeypatch, settings):
    monkeypatch.setattr(trained, "UPDATES", 6)
    items = RealItems(Pairs.of(toy, "train", modalities=["image", "audio"]))
    with pytest.raises(TooSlow):
        eye_of(made(**settings), items, limit=1e-6)
    eye = eye_of(made(**settings), items, limit=1e6)
    assert "trained on all real pairs, 3 epochs instead of the protocol's 100 (6 updates)" in eye.told
    first = [seen(eye, toy, name) for name in ("image", "audio")]
    assert first[0].shape == first[1].shape
    again = eye_of(made(**settings), items, limit=1e-9)
    assert all(torch.equal(seen(again, toy, name), z) for name, z in zip(("image", "audio"), first, strict=True))


@pytest.mark.usefixtures("cache")
def test_a_page_says_why_it_draws_nothing(made, monkeypatch):
    monkeypatch.setattr(projection, "QUICK", 1e-6)
    plane, why = plane_of(made(), None, "auto", "'my run'")
    assert plane is None
    assert why.startswith("Items are not drawn in the plane: it would take about ")
    assert why.endswith("limbeck report 'my run' --projection tsne does it.")
    lost = made()
    lost.provenance["data"] = {}
    assert plane_of(lost, None, "auto")[1] == (
        "Items are not drawn in the plane: the set does not say what it was made from."
    )
    assert plane_of(lost, None, "none") == (None, None)


def test_the_runs_own_frozen_encoder_is_not_replaced(cache, toy, made):
    eye = eye_of(made(encoder="patches"), RealItems(toy))
    assert eye.told == "the run's frozen encoder patches"
    assert not list(cache.rglob("network.safetensors"))
    with pytest.raises(TooSlow):
        eye_of(made(encoder="patches"), RealItems(toy), limit=0.0)
