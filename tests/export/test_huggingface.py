"""Hugging Face's ``datasets`` reads what is exported for it: the same items, in the same order, with their types."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

import limbeck
from limbeck.errors import MissingDependencyError
from limbeck.export import export
from tests.export.sets import heard, paired, vectors

datasets = pytest.importorskip("datasets")


def loaded(folder, cache):
    datasets.disable_progress_bars()
    rows = datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))
    sounds = [name for name, kind in rows.features.items() if isinstance(kind, datasets.Audio)]
    for name in sounds:  # decoding needs torchcodec
        rows = rows.cast_column(name, datasets.Audio(sampling_rate=rows.features[name].sampling_rate, decode=False))
    return rows


def test_pictures_sounds_labels_and_captions_come_back(tmp_path):
    synthetic = heard()
    rows = loaded(export(synthetic, tmp_path / "out", to="huggingface"), tmp_path / "cache")
    assert isinstance(rows.features["image"], datasets.Image)
    assert rows.features["sound"].sampling_rate == 4000
    assert rows.features["label"].names == list(synthetic.classes)
    assert rows["item"][:] == list(range(24))
    assert rows["label"][:] == synthetic.decode()[1].tolist()
    assert [tuple(words) for words in rows["captions"]] == synthetic.decoded_captions
    pictures, (sounds, rate) = synthetic.images(), synthetic.audio()
    for row, picture, sound in zip(rows, pictures, sounds, strict=True):
        assert np.array_equal(np.asarray(row["image"]), np.asarray(picture))
        with wave.open(io.BytesIO(row["sound"]["bytes"])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        assert np.abs(samples - sound).max() <= 0.5001 / 32767


def test_vectors_depth_and_similarity_come_back(tmp_path):
    synthetic = paired()
    out = export(synthetic, tmp_path / "pairs", to="huggingface")
    rows = loaded(out, tmp_path / "cache")
    assert "label" not in rows.features
    assert rows["image"][0].mode == "L"
    assert np.array_equal(np.asarray(rows["text"][:], np.float32), 2 * synthetic.values["text"].numpy() + 1)
    assert np.allclose(np.load(out / "similarity.npy"), synthetic.similarity.full())
    assert rows["captions"][:] == [["ein Straßenhund"], ["a cat, two", 'a "cat"'], []]
    rows = loaded(export(vectors(), tmp_path / "vectors", to="huggingface"), tmp_path / "cache")
    assert np.array_equal(np.asarray(rows["depth"][1]), np.full((4, 4), 1500))
    assert rows["feature"][0] == [1.0, 0.0, 0.0]


def test_a_downloaded_copy_is_an_artifact_too(tmp_path):
    synthetic = heard()
    copy = limbeck.load(export(synthetic, tmp_path / "out", to="huggingface"))
    assert all(bool((copy.values[name] == value).all()) for name, value in synthetic.values.items())


def test_rows_are_written_in_groups_and_equal_sets_give_equal_files(tmp_path, monkeypatch):
    first = export(heard(), tmp_path / "1", to="huggingface")
    again = export(heard(), tmp_path / "2", to="huggingface")
    name = "data/train-00000-of-00001.parquet"
    assert (first / name).read_bytes() == (again / name).read_bytes()
    monkeypatch.setattr("limbeck.export.items.CHUNK", 4)
    monkeypatch.setattr("limbeck.export.huggingface.CHUNK", 5)
    parts = loaded(export(heard(), tmp_path / "3", to="huggingface"), tmp_path / "cache")
    assert parts["item"][:] == list(range(24))


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"limbeck\[hf\]"):
        export(heard(), tmp_path / "out", to="huggingface")
    assert not list(tmp_path.iterdir())
