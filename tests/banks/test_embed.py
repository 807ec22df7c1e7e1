"""Stores of embeddings: what stands in them, that killed work goes on, and that they are stores like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.banks import aligned, embed, patches
from limbeck.banks.embed import embed_store
from limbeck.banks.frozen import Frozen, frozen_encoders
from limbeck.data import open_data
from limbeck.data.caption_embeddings import caption_embeddings, default_captions
from limbeck.data.pairs import Pairs
from limbeck.data.rooms import make_rooms
from limbeck.data.store import PairedStore
from limbeck.data.toy import make_toy
from limbeck.engine.plan import plan
from limbeck.errors import ConfigError, DataError, FormatError, NumericsError, ResumeError
from limbeck.modalities import Feature, Text
from limbeck.training.pairs import PairRecipe
from tests.evaluation.paired_toy import paired_store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patches, "DICTIONARY", patches.DictionaryRecipe(atoms=6, patches=200, rounds=2))
    monkeypatch.setattr(aligned, "ALIGNED_RECIPE", PairRecipe(epochs=2, batch=16, rates=0.05))
    monkeypatch.setattr(embed, "CHUNK", 8)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> PairedStore:
    """48 pictures of 16 x 16, one to three captions each."""
    return paired_store(tmp_path_factory.mktemp("captioned") / "store", side=16)


def same_index(made: PairedStore, source: PairedStore) -> None:
    assert list(made.ids) == list(source.ids)
    assert made.labels.tolist() == source.labels.tolist()
    assert made.classes == source.classes
    assert list(made.captions) == list(source.captions)
    assert {s: made.rows(s).tolist() for s in made.splits} == {s: source.rows(s).tolist() for s in source.splits}


def test_columns_are_the_encoders_vectors(toy: PairedStore, tmp_path: Path) -> None:
    made = embed_store(toy, "patches", tmp_path / "made")
    frozen = frozen_encoders(toy, toy.modalities, "patches")
    same_index(made, toy)
    assert made.modalities == {n: Feature(name=n, shape=(24,)) for n in ("image", "audio")}
    rows = np.arange(len(toy))
    for name in made.modalities:
        expected = frozen.embed(name, toy.batch(name, rows))
        torch.testing.assert_close(made.batch(name, rows), expected, rtol=1e-3, atol=1e-3)  # half precision
    assert made.caption_vectors is None  # captions, but no text is read
    assert made.settings["embedded"] == {
        "encoder": "patches", "id": frozen.id, "licence": "the package's own", "store": "toy", "data": toy.data_hash,
        "captions": None,
    }  # fmt: skip
    again = open_data(tmp_path / "made")
    assert (again.data_hash, again.name) == (made.data_hash, "toy-patches")


def test_that_the_text_is_the_label_is_still_said(tmp_path: Path) -> None:
    rooms = make_rooms(tmp_path / "rooms", per_class=(2, 0, 1))
    made = embed_store(rooms, "patches", tmp_path / "made", captions="hashing")
    assert rooms.settings["text_is_label"]
    assert made.settings["text_is_label"]


@pytest.mark.parametrize(("method", "encoder"), [("dm", "identity"), ("davdd", "random"), ("dc", "random")])
def test_methods_that_take_any_encoder_take_the_vectors_as_they_are(tmp_path: Path, method: str, encoder: str) -> None:
    store = make_toy(tmp_path / "store", modalities=("image", "audio"), classes=2, per_class=(6, 2, 2))
    made = embed_store(store, "patches", tmp_path / "made")
    assert plan(method, made, settings={"per_class": 1, "device": "cpu", "group": 1}).settings.encoder == encoder


@pytest.mark.parametrize("encoder", ["patches", "aligned"])
def test_all_captions_go_through_the_text_side(captioned: PairedStore, tmp_path: Path, encoder: str) -> None:
    made = embed_store(captioned, encoder, tmp_path / "made", captions="hashing")
    pairs = Pairs.of(captioned, "train", captions="hashing")
    frozen = frozen_encoders(pairs, pairs.modalities, encoder)
    assert made.settings["embedded"]["id"] == frozen.id
    stored, words = caption_embeddings(made, "stored"), caption_embeddings(captioned, "hashing")
    every = np.arange(len(words))
    expected = frozen.embed("text", words.batch(every))
    torch.testing.assert_close(stored.batch(every), expected, rtol=1e-5, atol=1e-6)
    assert stored.owner.tolist() == words.owner.tolist()
    assert (stored.encoder == words.encoder) == (encoder == "patches")
    assert made.modalities["text"] == Text(shape=(frozen.widths["text"],), embedding=stored.encoder)
    means = torch.stack([expected[torch.from_numpy(words.of([row]))].mean(0) for row in range(len(made))])
    torch.testing.assert_close(made.batch("text", range(len(made))), means, rtol=1e-3, atol=1e-3)
    same_index(made, captioned)


def test_pairs_of_it_are_by_default_what_it_holds(captioned: PairedStore, tmp_path: Path) -> None:
    made = embed_store(captioned, "aligned", tmp_path / "made", captions="hashing", width=9)
    assert (default_captions(captioned), default_captions(made)) == ("bert", "stored")
    pairs, own = Pairs.of(made, "train"), Pairs.of(captioned, "train", captions="hashing")
    assert len(pairs) == len(own)
    assert [m.shape for m in pairs.modalities.values()] == [(9,), (9,)]
    assert pairs.words(3) == own.words(3)
    once_more = embed_store(made, "identity", tmp_path / "again")  # and its captions go along
    assert once_more.settings["embedded"]["captions"] == made.settings["embedded"]["captions"]
    assert np.array_equal(once_more.caption_vectors, made.caption_vectors)
    with pytest.raises(DataError, match="holds no vectors of its captions"):
        caption_embeddings(captioned, "stored")


def test_captions_go_through_the_encoders_own_text_side_where_it_has_one(
    captioned: PairedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(_: PairedStore, encoder: str, **__: object) -> None:
        asked.append(encoder)
        raise InterruptedError

    monkeypatch.setattr(embed, "caption_embeddings", ask)
    for told in (
        {"encoder": "imagebind"},
        {"encoder": "clip"},
        {"encoder": "clip", "pretrained": str(tmp_path)},
        {"encoder": "clip", "pretrained": "none"},
        {"encoder": "imagebind-tiny"},
        {"encoder": "imagebind", "captions": "hashing"},
    ):
        with pytest.raises(InterruptedError):
            embed_store(captioned, out=tmp_path / "made", **told)
    assert asked == ["imagebind", "clip", str(tmp_path), "minilm", "minilm", "hashing"]


def test_text_without_captions_is_the_stores_own(tmp_path: Path) -> None:
    source = make_toy(tmp_path / "toy", modalities=("depth", "text"), captions=False)
    made = embed_store(source, "imagebind-tiny", tmp_path / "made")
    frozen = frozen_encoders(source, source.modalities, "imagebind-tiny")
    expected = frozen.embed("text", source.batch("text", range(9)))
    torch.testing.assert_close(made.batch("text", range(9)), expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(ConfigError, match="nothing here is a caption"):
        embed_store(source, "imagebind-tiny", tmp_path / "other", captions="hashing")


def test_a_run_by_pairs_and_its_score(captioned: PairedStore, tmp_path: Path) -> None:
    import limbeck

    embed_store(captioned, "aligned", tmp_path / "made", captions="hashing", width=16)
    made = {"pairs": 8, "device": "cpu", "threads": 1}
    synthetic = limbeck.distill("random", data=str(tmp_path / "made"), out=tmp_path / "run", **made)
    assert synthetic.provenance["settings"]["captions"] == "stored"
    result = limbeck.evaluate(tmp_path / "run", seeds=[0], device="cpu", threads=1)
    assert 0 < result["mean"]["Mean"] <= 100


def test_killed_work_goes_on_to_the_same_bytes(
    captioned: PairedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = embed_store(captioned, "patches", tmp_path / "whole", captions="hashing")
    done = []

    def embed_(self: Frozen, modality: str, x: Tensor, own=Frozen.embed) -> Tensor:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(modality)
        return own(self, modality, x)

    with monkeypatch.context() as once:
        once.setattr(Frozen, "embed", embed_)
        with pytest.raises(KeyboardInterrupt):
            embed_store(captioned, "patches", tmp_path / "made", captions="hashing")
    assert not (tmp_path / "made").exists()
    with pytest.raises(ResumeError, match="an unfinished preparation with other embedded stands here"):
        embed_store(captioned, "patches", tmp_path / "made", captions="hashing", pretrained="none")
    assert embed_store(captioned, "patches", tmp_path / "made", captions="hashing").data_hash == whole.data_hash


@pytest.mark.parametrize("file", ["image.npy", "index.captions_vectors.npy"])
def test_a_damaged_store_is_told(captioned: PairedStore, tmp_path: Path, file: str) -> None:
    embed_store(captioned, "patches", tmp_path / "made", captions="hashing")
    damaged = bytearray((tmp_path / "made" / file).read_bytes())
    damaged[-2] ^= 1
    (tmp_path / "made" / file).write_bytes(damaged)
    with pytest.raises(FormatError, match=file):
        open_data(tmp_path / "made")


@pytest.mark.parametrize(("value", "said"), [(np.inf, "is not finite"), (7e4, "is too large for half precision")])
def test_what_cannot_be_kept_names_the_item(
    toy: PairedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, said: str
) -> None:
    wrong = toy.batch("audio", [21])

    def embed_(self: Frozen, modality: str, x: Tensor, own=Frozen.embed) -> Tensor:
        found = own(self, modality, x)
        if modality == "audio":
            found[(x == wrong).flatten(1).all(1), 0] = value
        return found

    monkeypatch.setattr(Frozen, "embed", embed_)
    with pytest.raises(NumericsError, match=rf"item '{toy.ids[21]}': the embedding of audio by patches {said}"):
        embed_store(toy, "patches", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_what_is_refused_before_any_work(toy: PairedStore, tmp_path: Path) -> None:
    for arguments, said in (
        ({"encoder": "patchs"}, "unknown encoder 'patchs'"),
        ({"encoder": "identity"}, "the encoder identity reads vectors"),
        ({"encoder": "patches", "modalities": ["imge"]}, "no modality 'imge'"),
        ({"encoder": "patches", "captions": "hashing"}, "nothing here is a caption"),
        ({"encoder": "patches", "width": 3}, "a width of its own"),
        ({"encoder": "patches", "device": "tpu"}, "unknown device"),
    ):
        with pytest.raises(ConfigError, match=said):
            embed_store(toy, out=tmp_path / "made", **arguments)
    (tmp_path / "made").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        embed_store(toy, "patches", tmp_path / "made")


def test_the_verb(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import json

    from limbeck.cli import main

    words = ["embed", "toy", "--encoder", "aligned", "--width", "8", "--modalities", "image,audio"]
    assert main([*words, "--out", str(tmp_path / "made"), "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["modalities"]["audio"]["shape"] == [8]
    assert told["embedded"]["encoder"] == "aligned"
    assert main(["embed", "toy", "--encoder", "alined", "--out", str(tmp_path / "other")]) == 2
    assert "Did you mean 'aligned'?" in capsys.readouterr().err
    assert main(["embed", "toy", "--out", str(tmp_path / "other")]) == 2
    assert "no --encoder given" in capsys.readouterr().err
