"""The gallery of a page: every item with its pictures and sounds, beside what it began as."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from limbeck.modalities import Audio, Depth, Feature, Image, Text
from limbeck.report import write_report
from tests.report.pages import IMAGE, RESULT, SOUND, make_run, read, sound_of, synthetic_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "first", synthetic_set(), result=RESULT)


@pytest.fixture(scope="module")
def page(folder):
    return read(write_report(folder))


def test_every_item_is_shown_beside_what_it_began_as(page):
    pictures = page.sources("img")
    assert len(pictures) == 2 * 6 * 2
    assert len(page.sources("audio")) == 2 * 6
    shown = Pillow.open(io.BytesIO(base64.b64decode(pictures[0].partition(",")[2])))
    assert np.array_equal(np.asarray(shown), np.asarray(synthetic_set().images()[0]))
    for name in ("cat", "dog", "cow"):
        assert name in page.text


def test_sounds_are_the_sets_own(page):
    (expected, rate) = synthetic_set().audio()
    found, samples = sound_of(page.sources("audio")[0])
    assert found == rate
    assert np.abs(samples / 32767 - expected[0]).max() < 1e-3


def test_everything_has_a_name_for_those_who_do_not_see_it(page):
    alts = [value for tag, name, value in page.attributes if tag == "img" and name == "alt"]
    assert len(alts) == page.tags.count("img")
    assert all(alts)
    labels = [value for tag, name, value in page.attributes if tag == "audio" and name == "aria-label"]
    assert labels[0] == "cat, item 0, distilled"
    assert ("html", "lang", "en") in page.attributes


def test_a_coreset_is_called_one(tmp_path):
    synthetic = synthetic_set()
    synthetic.provenance.update(method="herding", steps_done=0)
    made = make_run(tmp_path / "run", synthetic, initial=False, metrics=0)
    synthetic.save(made / "initial")
    page = read(write_report(made))
    assert "A coreset" in page.text
    assert "began as" not in page.text
    assert "loss curves" not in page.text
    assert len(page.sources("audio")) == 6
    synthetic.provenance.update(method="lors", steps_taken=20)
    text = read(write_report(make_run(tmp_path / "kept", synthetic, initial=False, metrics=0))).text
    assert "A coreset" not in text
    assert "of the steps that were taken (20) none" in text


@pytest.mark.parametrize("modality", [IMAGE, SOUND, Depth(shape=(1, 8, 8)), Feature(shape=(40,)), Text(shape=(7,))])
def test_one_modality_of_any_kind(tmp_path, modality):
    captions = [((f"words of {i}",),) for i in range(4)]
    synthetic = synthetic_set((modality,), 4, labels=False, captions=captions)
    page = read(write_report(make_run(tmp_path / "run", synthetic)))
    assert len(page.sources("img")) == 8
    assert len(page.sources("audio")) == (8 if modality is SOUND else 0)
    assert "words of 3" in page.text
    assert "by pair" in page.text
    assert ("plays the sound" in page.text) == (modality is SOUND)


def test_a_factor_shows_its_cells_where_they_lie(tmp_path):
    synthetic = synthetic_set((Image(shape=(1, 8, 8)),), 3, factor=2)
    for k, (rows, columns) in enumerate([(0, 0), (4, 0), (0, 4), (4, 4)]):  # column by column, as factor.cells cuts
        synthetic.values["image"][:, :, rows : rows + 4, columns : columns + 4] = [-2.0, -1.0, 0.5, 2.0][k]
    page = read(write_report(make_run(tmp_path / "run", synthetic, initial=False)))
    assert len(page.sources("img")) == 12
    levels = [
        int(np.asarray(Pillow.open(io.BytesIO(base64.b64decode(a.partition(",")[2])))).mean())
        for a in page.sources("img")[:4]
    ]
    assert levels[0] < levels[2] < levels[1] < levels[3]  # row by row on the page
    assert "12" in page.text


def test_many_items_are_capped_fairly_and_small(tmp_path, monkeypatch):
    # sounds of the right length at once: Griffin-Lim takes its time
    monkeypatch.setattr(Audio, "waveform", lambda self, x: torch.zeros(len(x), self.samples))
    modalities = (Image(shape=(3, 64, 64)), Audio(shape=(1, 128, 56), mean=(-20.0,), std=(8.0,)))
    synthetic = synthetic_set(modalities, 120, factor=2)
    path = write_report(make_run(tmp_path / "run", synthetic))
    page = read(path)
    assert path.stat().st_size < 15e6
    assert "100 of 120 stored items are shown" in page.text
    assert "4 of the 4 sounds in each item can be played here, 0 of those beside it" in page.text
    articles = [v for t, n, v in page.attributes if t == "article" and n == "aria-label"]
    counts = [sum(label.startswith(name) for label in articles) for name in ("cat", "dog", "cow")]
    assert sorted(counts) == [33, 33, 34]


def test_captions_stand_after_their_cell(tmp_path):
    words = (tuple(f"top left {i}" for i in range(20)), ("below",), (), ("last",))
    synthetic = synthetic_set(n=3, factor=2, captions=[words] * 3)
    page = read(write_report(make_run(tmp_path / "run", synthetic, initial=False)))
    for part in ("1: top left 0", "1: top left 2", "3: below", "4: last"):
        assert part in page.text
    assert "top left 3" not in page.text
