"""Exporting a set as files: they hold what the set decodes to, and nothing of the user's is lost."""

from __future__ import annotations

import csv
import wave

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from limbeck.errors import ConfigError, FormatError, NumericsError
from limbeck.export import export
from limbeck.modalities import Audio, Depth, Feature, Image, Text
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.similarity import Factors, Similarity


def make(factor=2, captions=True):
    draw = torch.Generator().manual_seed(3)
    modalities = {
        "image": Image(shape=(3, 8, 8)),
        "sound": Audio(name="sound", shape=(1, 16, 12), sample_rate=4000, n_fft=64, hop=32, mean=(-20.0,), std=(8.0,)),
    }
    values = {name: torch.randn(6, *m.shape, generator=draw) for name, m in modalities.items()}
    # as many captions as cells, but not one for each: item 0 has two in its first cell and none in its second
    words = [tuple((f"item {i}, cell {k}",) for k in range(factor**2)) for i in range(6)] if captions else None
    if words and factor == 2:
        words[0] = (("one", "two"), (), *words[0][2:])
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    return SyntheticSet(modalities, values, labels, ("a,b", '"quoted"', "=1+1"), words, factor)


def table(folder):
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_hold_the_decoded_items(tmp_path):
    synthetic = make()
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
    whole = export(make(), tmp_path / "whole")
    monkeypatch.setattr("limbeck.export.CHUNK", 4)
    parts = export(make(), tmp_path / "parts")
    assert (whole / "labels.csv").read_bytes() == (parts / "labels.csv").read_bytes()
    for path in whole.rglob("*.png"):
        assert path.read_bytes() == (parts / path.relative_to(whole)).read_bytes()


def test_vectors_depth_and_pairs(tmp_path):
    depth, text, vector = Depth(shape=(1, 4, 4)), Text(shape=(5,), mean=(1.0,), std=(2.0,)), Feature(shape=(3,))
    values = {"depth": torch.full((2, 1, 4, 4), 1.5), "text": torch.ones(2, 5), "feature": torch.eye(3)[:2]}
    captions = [(("one", "another"),), (("two", "too"),)]
    modalities = {"depth": depth, "text": text, "feature": vector}
    out = export(SyntheticSet(modalities, values, captions=captions), tmp_path / "out")
    assert np.array_equal(np.asarray(Pillow.open(out / "depth" / "0.png")), np.full((4, 4), 1500))
    assert np.array_equal(np.load(out / "text.npy", allow_pickle=False), np.full((2, 5), 3.0, np.float32))
    assert np.array_equal(np.load(out / "feature.npy", allow_pickle=False), np.eye(3, dtype=np.float32)[:2])
    assert table(out)[1] == {"item": "1", "label": "", "class": "", "files": "depth/1.png", "caption": "two | too"}


def test_a_run_and_an_artifact_can_be_named(tmp_path):
    make(factor=1, captions=False).save(tmp_path / "run" / "synthetic")
    for source in (tmp_path / "run", tmp_path / "run" / "synthetic"):
        out = export(source, tmp_path / f"out-{source.name}")
        assert len(list((out / "image").iterdir())) == 6
    with pytest.raises(FormatError):
        export(tmp_path / "nothing", tmp_path / "out")


def test_nothing_of_the_users_is_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="not empty"):
            export(make(), tmp_path / "mine", overwrite=overwrite)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        export(make(), tmp_path / "file")
    (tmp_path / "empty").mkdir()
    export(make(), tmp_path / "empty")
    with pytest.raises(ConfigError, match="earlier export"):
        export(make(), tmp_path / "empty")
    export(make(factor=1, captions=False), tmp_path / "empty", overwrite=True)
    assert len(table(tmp_path / "empty")) == 6


def test_a_failed_export_leaves_nothing_and_keeps_the_old_one(tmp_path):
    export(make(), tmp_path / "out")
    broken = make()
    broken.values["image"][3] = float("nan")
    with pytest.raises(NumericsError):
        export(broken, tmp_path / "out", overwrite=True)
    broken = make()
    broken.values["sound"][3] = float("inf")
    assert len(table(tmp_path / "out")) == 24
    with pytest.raises(NumericsError):
        export(broken, tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_unknown_target_names_the_known(tmp_path):
    with pytest.raises(ConfigError, match="folder"):
        export(make(), tmp_path / "out", to="foldr")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"file/out: .*cannot be written"):
        export(make(), tmp_path / "file" / "out")
    with pytest.raises(ConfigError, match="cannot be written"):
        export(make(), "/proc/limbeck/out")


def test_what_a_set_learnt_of_its_pairs_is_kept(tmp_path):
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 3, 2, generator=draw)
    learnt = Similarity(Factors(torch.tensor([1.0, 2.0, 3.0]), left, right), 0.5)
    text = Text(shape=(4,), embedding="hashing-4")
    values = {"image": torch.zeros(3, 3, 8, 8), "text": torch.randn(3, 4, generator=draw)}
    captions = [(("a dog",),), (("a cat, two", 'a "cat"'),), ((),)]
    modalities = {"image": Image(shape=(3, 8, 8)), "text": text}
    out = export(SyntheticSet(modalities, values, captions=captions, similarity=learnt), tmp_path / "out")
    saved = np.load(out / "similarity.npy", allow_pickle=False)
    expected = np.diag([1.0, 2.0, 3.0]) + 0.25 * left.numpy() @ right.numpy().T
    assert np.allclose(saved, expected, atol=1e-6)
    assert np.array_equal(np.load(out / "text.npy", allow_pickle=False), values["text"].numpy())
    assert [(r["files"], r["caption"]) for r in table(out)] == [
        ("image/0.png", "a dog"),
        ("image/1.png", 'a cat, two | a "cat"'),
        ("image/2.png", ""),
    ]
    broken = Similarity(Factors(torch.tensor([1.0, 2.0, float("nan")]), left, right), 0.5)
    with pytest.raises(NumericsError, match="similarity"):
        export(SyntheticSet(modalities, values, similarity=broken), tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
