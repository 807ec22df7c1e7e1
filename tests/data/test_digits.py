"""The embedded set: what is in it, what the splits share, and that it is built once."""

from __future__ import annotations

import importlib.util
import threading

import numpy as np
import pytest

from limbeck.data import digits
from limbeck.data.digits import CAPTIONS, VOICES, WORDS, open_digits
from limbeck.data.store import PairedStore
from limbeck.errors import MissingDependencyError

pytestmark = pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="no speech engine")
ROWS = np.arange(1797)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_digits(tmp_path_factory.mktemp("digits") / "store")


def test_what_it_holds(store):
    assert (len(store), store.name, store.classes, store.splits) == (
        1797,
        "digits",
        WORDS,
        ("train", "validation", "test"),
    )
    assert {name: m.shape for name, m in store.modalities.items()} == {"image": (1, 16, 16), "audio": (1, 32, 32)}
    assert [len(store.rows(split)) for split in store.splits] == [1197, 300, 300]
    for split in ("validation", "test"):
        assert np.bincount(store.labels[store.rows(split)]).tolist() == [30] * 10
    assert len(set(store.ids)) == 1797
    assert all(store.captions[i] == (CAPTIONS[store.labels[i]],) for i in (0, 77, 1796))
    assert CAPTIONS[3] == "a handwritten three"
    assert len(store.settings["speech_sha256"]) == 64


def test_pictures_are_scikit_learns(store):
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    assert np.array_equal(store.labels, labels)
    large = store.stored("image", ROWS).numpy()[:, 0].astype(float)
    back = large.reshape(-1, 8, 2, 8, 2).mean(axis=(2, 4)).reshape(-1, 64) * 16 / 255
    assert np.abs(back - small).mean() < 0.8  # of 16 grey levels: the resize smooths
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(back, small, strict=True)]) > 0.98


def test_no_voice_speaks_in_two_splits_and_each_voice_says_everything(store):
    heard = {split: {store.ids[i].split("+")[1] for i in store.rows(split)} for split in store.splits}
    assert heard == {split: set(voices) for split, voices in VOICES.items()}
    assert len(set.union(*heard.values())) == sum(map(len, heard.values()))
    said = {(store.ids[i].split("+")[1], store.labels[i]) for i in ROWS}
    assert len(said) == 12 * 10


def test_sound_is_standardised_and_never_digitally_silent(store):
    x = store.batch("audio", store.rows("train"))
    assert abs(float(x.mean())) < 1e-3
    assert abs(float(x.std()) - 1) < 1e-3
    decibel = store.stored("audio", ROWS).float()
    assert decibel.min() > -80
    assert decibel.max() < 60
    assert store.batch("audio", store.rows("test")).abs().max() < 6


def test_no_word_is_cut_off():
    labels, _ = digits._handwriting()
    script = digits._script(labels, digits._splits(labels))
    spoken, rate = digits.speak(script)
    longest = max(np.ptp(np.flatnonzero(np.abs(s) > 0.02 * np.abs(s).max())) for s in spoken) / rate
    assert longest < digits._audio().seconds


@pytest.mark.parametrize(("modality", "low", "high"), [("image", 75, 99), ("audio", 25, 99)])
def test_class_means_tell_something_but_not_everything(store, modality, low, high):
    train, test = store.rows("train"), store.rows("test")
    x, y = store.batch(modality, train).flatten(1).numpy(), store.labels[train]
    means = np.stack([x[y == c].mean(0) for c in range(10)])
    z = store.batch(modality, test).flatten(1).numpy()
    found = ((z[:, None] - means) ** 2).sum(-1).argmin(1)
    assert low < 100 * np.mean(found == store.labels[test]) < high


def test_a_second_opening_builds_nothing_and_a_second_build_is_the_same(store, tmp_path, monkeypatch):
    again = open_digits(tmp_path / "again")
    assert again.data_hash == store.data_hash
    monkeypatch.setattr(digits, "speak", lambda _: pytest.fail("built again"))
    assert open_digits(store.path).data_hash == store.data_hash


def test_threads_that_ask_at_once_build_once(store, tmp_path, monkeypatch):
    import shutil

    built = []

    def build(folder):
        built.append(folder)
        shutil.copytree(store.path, folder.with_name("half"))
        folder.with_name("half").rename(folder)
        return PairedStore.open(folder)

    monkeypatch.setattr(digits, "_build", build)
    found: list[int] = []
    workers = [threading.Thread(target=lambda: found.append(len(open_digits(tmp_path / "one")))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [1797] * 4
    assert len(built) == 1


def test_it_lives_in_the_cache_under_the_recipes_name(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(digits, "_build", lambda folder: asked.append(folder))
    open_digits()
    assert asked == [tmp_path / f"digits-v1-{digits._recipe_hash()}"]


def test_without_the_engine_nothing_is_left_behind(tmp_path, monkeypatch):
    def missing(_):
        raise MissingDependencyError("no engine")

    monkeypatch.setattr(digits, "speak", missing)
    with pytest.raises(MissingDependencyError):
        open_digits(tmp_path / "store")
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []
