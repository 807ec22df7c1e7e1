"""The package webdataset reads the shards: the same items, in the same order."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
import wave

import numpy as np
import pytest
import torch

from limbeck.errors import MissingDependencyError
from limbeck.export import export
from limbeck.modalities import Feature, Image
from limbeck.synthetic import SyntheticSet
from tests.export.sets import heard, paired, vectors

wds = pytest.importorskip("webdataset")
# its reader leaves the shard to be closed by whoever comes
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def samples(folder):
    return list(wds.WebDataset(str(folder / "shard-000000.tar"), shardshuffle=False, empty_check=False).decode("pil"))


def test_pictures_sounds_labels_and_captions_come_back(tmp_path):
    synthetic = heard()
    found = samples(export(synthetic, tmp_path / "out", to="webdataset"))
    assert [s["__key__"] for s in found] == [f"{i:06d}" for i in range(24)]
    assert [s["cls"] for s in found] == synthetic.decode()[1].tolist()
    assert [s["json"]["class"] for s in found] == [synthetic.classes[s["cls"]] for s in found]
    assert [tuple(s["json"]["captions"]) for s in found] == synthetic.decoded_captions
    assert found[0]["txt"] == "one\ntwo"
    pictures, (sounds, rate) = synthetic.images(), synthetic.audio()
    for sample, picture, sound in zip(found, pictures, sounds, strict=True):
        assert np.array_equal(np.asarray(sample["png"]), np.asarray(picture))
        with wave.open(io.BytesIO(sample["wav"])) as file:
            assert file.getframerate() == rate
            data = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        assert np.abs(data - sound).max() <= 0.5001 / 32767


def test_vectors_and_pairs_come_back(tmp_path):
    synthetic = paired()
    out = export(synthetic, tmp_path / "pairs", to="webdataset")
    found = samples(out)
    assert np.array_equal(np.stack([s["npy"] for s in found]), 2 * synthetic.values["text"].numpy() + 1)
    assert "cls" not in found[0]
    assert found[0]["json"] == {"item": 0, "captions": ["ein Straßenhund"]}
    assert (out / "similarity.npy").exists()


def test_two_of_a_kind_carry_their_names(tmp_path):
    (first, second) = samples(export(vectors(), tmp_path / "out", to="webdataset"))
    assert {"png", "text.npy", "feature.npy"} <= set(first)
    assert np.array_equal(second["feature.npy"], [0.0, 1.0, 0.0])
    two = {"left": Image(name="left", shape=(3, 2, 2)), "right": Image(name="right", shape=(3, 2, 2))}
    synthetic = SyntheticSet({**two, "feature": Feature(shape=(3,))}, {
        "left": torch.zeros(1, 3, 2, 2), "right": torch.ones(1, 3, 2, 2), "feature": torch.ones(1, 3),
    })  # fmt: skip
    (sample,) = samples(export(synthetic, tmp_path / "two", to="webdataset"))
    assert np.array_equal(np.asarray(sample["right.png"]), np.asarray(synthetic.images("right")[0]))
    assert np.array_equal(sample["npy"], [1.0, 1.0, 1.0])


def test_equal_sets_give_equal_shards_wherever_they_lie(tmp_path):
    for name in ("one", "100%d of it"):
        export(heard(), tmp_path / name, to="webdataset")
    shard = tmp_path / "100%d of it" / "shard-000000.tar"
    assert (tmp_path / "one" / "shard-000000.tar").read_bytes() == shard.read_bytes()
    with tarfile.open(shard) as tar:
        for member in tar:
            assert (member.mtime, member.uname, member.uid) == (0, "limbeck", 0)
            if member.name == "000003.json":
                about = json.load(tar.extractfile(member))
    assert about == {"item": 3, "label": 1, "class": '"quoted"', "captions": ["item 3, cell 0"]}


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(MissingDependencyError, match=r"limbeck\[webdataset\]"):
        export(heard(), tmp_path / "out", to="webdataset")
    assert not list(tmp_path.iterdir())


def test_a_caption_is_one_line(tmp_path):
    synthetic = dataclasses.replace(paired(), captions=[(("one\ntwo", "three"),), (("four",),), ((),)])
    first, *_ = samples(export(synthetic, tmp_path / "out", to="webdataset"))
    assert first["txt"] == "one two\nthree"
    assert first["json"]["captions"] == ["one\ntwo", "three"]
