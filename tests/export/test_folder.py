"""Exporting a set as files: they hold what the set decodes to, and nothing of the user's is lost."""

from __future__ import annotations

import csv
import wave

import numpy as np
import pytest
from PIL import Image as Pillow

from limbeck.errors import ConfigError, FormatError, NumericsError
from limbeck.export import export
from tests.export.sets import heard, paired, vectors


def table(folder):
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_hold_the_decoded_items(tmp_path):
    synthetic = heard()
    out = export(synthetic, tmp_path / "out")
    rows = table(out)
    assert [int(r["item"]) for r in rows] == list(range(24))
    _, labels = synthetic.decode()
    assert [int(r["label"]) for r in rows] == labels.tolist()
    assert [r["class"] for r in rows] == [synthetic.classes[k] for k in labels]
    pictures, (sounds, rate) = synthetic.images(), synthetic.audio()
    for row, picture, sound in zip(rows, pictures, sounds, strict=True):
        image, audio = row["files"].split(" | ")
        assert np.array_equal(np.asarray(Pillow.open(out / image)), np.asarray(picture))
        with wave.open(str(out / audio)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        assert np.abs(samples - sound).max() < 1e-3
    assert [r["caption"] for r in rows[::6]] == ["one | two", "", "item 0, cell 2", "item 0, cell 3"]
    assert rows[6 + 5]["caption"] == "item 5, cell 1"


def test_chunks_change_nothing(tmp_path, monkeypatch):
    whole = export(heard(), tmp_path / "whole")
    monkeypatch.setattr("limbeck.export.items.CHUNK", 4)
    parts = export(heard(), tmp_path / "parts")
    assert (whole / "labels.csv").read_bytes() == (parts / "labels.csv").read_bytes()
    for path in whole.rglob("*.png"):
        assert path.read_bytes() == (parts / path.relative_to(whole)).read_bytes()


def test_vectors_depth_and_pairs(tmp_path):
    out = export(vectors(), tmp_path / "out")
    assert np.array_equal(np.asarray(Pillow.open(out / "depth" / "0.png")), np.full((4, 4), 1500))
    assert np.array_equal(np.load(out / "text.npy", allow_pickle=False), np.full((2, 5), 3.0, np.float32))
    assert np.array_equal(np.load(out / "feature.npy", allow_pickle=False), np.eye(3, dtype=np.float32)[:2])
    assert table(out)[1] == {
        "item": "1",
        "label": "1",
        "class": "right",
        "files": "depth/1.png",
        "caption": "two | too",
    }


def test_a_run_and_an_artifact_can_be_named(tmp_path):
    heard(factor=1, captions=False).save(tmp_path / "run" / "synthetic")
    for source in (tmp_path / "run", tmp_path / "run" / "synthetic"):
        out = export(source, tmp_path / f"out-{source.name}")
        assert len(list((out / "image").iterdir())) == 6
    with pytest.raises(FormatError):
        export(tmp_path / "nothing", tmp_path / "out")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"file/out: .*cannot be written"):
        export(heard(), tmp_path / "file" / "out")
    with pytest.raises(ConfigError, match="cannot be written"):
        export(heard(), "/proc/limbeck/out")


def test_what_a_set_learnt_of_its_pairs_is_kept(tmp_path):
    synthetic = paired()
    out = export(synthetic, tmp_path / "out")
    saved = np.load(out / "similarity.npy", allow_pickle=False)
    weight, left, right = synthetic.similarity.factors
    expected = np.diag(weight) + 0.25 * left.numpy() @ right.numpy().T
    assert np.allclose(saved, expected, atol=1e-6)
    assert np.array_equal(np.load(out / "text.npy", allow_pickle=False), 2 * synthetic.values["text"].numpy() + 1)
    assert [(r["files"], r["caption"]) for r in table(out)] == [
        ("image/0.png", "ein Straßenhund"),
        ("image/1.png", 'a cat, two | a "cat"'),
        ("image/2.png", ""),
    ]
    synthetic.similarity.factors.weight[2] = float("nan")
    with pytest.raises(NumericsError, match="similarity"):
        export(synthetic, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
