"""Captions through text towers: CLIP, CLAP and ImageBind, from folders and files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data import cache_root, imagebind_text, sentences
from limbeck.data.clip_tokens import FILE, ClipTokens
from limbeck.data.embedding import caption_width, embed_captions
from limbeck.data.imagebind_text import ImageBindText, ImageBindTokens
from limbeck.data.sentences import Transformer, sentence_encoder
from limbeck.errors import ConfigError, FormatError, MissingDependencyError

MERGES = [("a", "t</w>"), ("c", "at</w>"), ("d", "o"), ("do", "g</w>")]
TEXTS = ["a dog", "two cats and a dog in the sun", "", "dog " * 100]


@pytest.fixture(scope="module")
def merges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bpe") / FILE
    path.write_bytes(gzip.compress("\n".join(["#", *(f"{a} {b}" for a, b in MERGES)]).encode()))
    return path


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory, merges: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    folder, tokens = tmp_path_factory.mktemp("clip") / "model", ClipTokens(merges)
    vocabulary = {**tokens.vocabulary, "<|startoftext|>": tokens.start, "<|endoftext|>": tokens.end}
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**size, "vocab_size": tokens.size, "eos_token_id": tokens.end, "bos_token_id": tokens.start},
        vision_config={**size, "image_size": 32, "patch_size": 16},
        projection_dim=12,
    )
    with torch.random.fork_rng(), sentences._quiet():
        torch.manual_seed(0)
        transformers.CLIPModel(config).save_pretrained(folder)
        transformers.CLIPTokenizer(vocab=vocabulary, merges=MERGES, model_max_length=77).save_pretrained(folder)
    return folder


def test_a_folder_of_clip_gives_its_projected_text(clip_folder: Path) -> None:
    import transformers

    encoder = sentence_encoder(str(clip_folder))
    assert encoder.width == 12
    assert encoder.id.startswith("clip-projected-")
    found = encoder.encode(TEXTS)
    assert found.shape == (4, 12)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    with sentences._quiet():
        model = transformers.CLIPModel.from_pretrained(str(clip_folder)).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(clip_folder))
    for text, vector in zip(TEXTS, found, strict=True):  # one by one, nothing padded
        words = tokenizer(text, return_tensors="pt", truncation=True)
        with torch.no_grad():
            known = model.text_projection(model.text_model(**words).pooler_output)
        assert np.allclose(vector, torch.nn.functional.normalize(known, dim=1)[0].numpy(), atol=1e-5), text


def test_a_clip_may_lack_pictures_but_no_words(clip_folder: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(clip_folder, tmp_path / "clip")
    file = tmp_path / "clip" / "model.safetensors"
    kept = {k: v for k, v in load_file(file).items() if not k.startswith("vision")}
    save_file(kept, file, metadata={"format": "pt"})
    assert Transformer(tmp_path / "clip", "first").encode(["a dog"]).shape == (1, 12)
    del kept["text_projection.weight"]
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(FormatError, match=r"text_projection\.weight"):
        Transformer(tmp_path / "clip", "first").encode(["a dog"])
    for name in ("tokenizer.json", "merges.txt"):
        (tmp_path / "clip" / name).unlink(missing_ok=True)
    with pytest.raises(MissingDependencyError, match=r"merges\.txt"):
        Transformer(tmp_path / "clip", "first")


@pytest.mark.parametrize("name", ["clip", "clap"])
def test_names_mean_the_hubs_cache_and_nothing_is_downloaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")

    def nothing(*_: Any, **options: Any) -> str:
        assert options["local_files_only"]
        raise OSError("not in the cache")

    monkeypatch.setattr("transformers.utils.cached_file", nothing)
    with pytest.raises(MissingDependencyError, match=rf"{sentences.HUB[name]}(.|\n)*tokenizer\.json"):
        sentence_encoder(name)


def test_claps_text_is_read_the_same_way(tmp_path: Path) -> None:
    """Its folder's checks, and the same tower and projection by name."""
    folder = tmp_path / "clap"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "clap", "projection_dim": 5}))
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / "tokenizer.json").write_text("{}")
    made = Transformer(folder, "first")
    assert (made.kind, made.width, made.pooling) == ("clap", 5, "projected")
    assert made._uses("text_model.x")
    assert not made._uses("audio_model.x")


# -- ImageBind ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(merges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """(file of random weights, config) of a text trunk with the vocabulary of the test's merges."""
    import dataclasses

    from safetensors.torch import save_file

    from limbeck.encoders.imagebind import TINY, draw_weights, module_of

    monkeypatch.setenv("LIMBECK_CLIP_BPE", str(merges))
    part = dataclasses.replace(TINY.part("text"), vocabulary=512 + len(MERGES) + 2)
    config = dataclasses.replace(TINY, parts=(part,))
    weights = draw_weights(part, config.embedding, torch.Generator().manual_seed(0))
    whole = module_of(part, config.embedding, weights).state_dict()  # with the mask, as published
    save_file({k: v.contiguous() for k, v in whole.items()}, tmp_path / "ib.safetensors")
    return tmp_path / "ib.safetensors", config


def test_imagebind_reads_clips_tokens(tiny: tuple[Path, Any]) -> None:
    from limbeck.encoders.imagebind import load_modality, module_of

    path, config = tiny
    encoder = ImageBindText(path, config)
    assert encoder.width == config.embedding
    many = [*TEXTS, *(f"dog {k}" for k in range(30))]
    found = encoder.encode(many)
    assert found.shape == (34, config.embedding)
    module = module_of(config.part("text"), config.embedding, load_modality(path, config, "text"))
    for k in (0, 3, 33):
        with torch.no_grad():
            known = module(torch.from_numpy(encoder.tokens.encode([many[k]])))[0].numpy()
        assert np.allclose(found[k], known, atol=1e-4)
    lengths = np.linalg.norm(found, axis=1)
    assert np.allclose(lengths, lengths[0], rtol=1e-4)  # of the learnt scale
    assert lengths[0] > 2
    vectors = embed_captions_of(encoder, [["a dog", "a cat"], ["two cats"]])
    assert np.allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=1e-2)


def embed_captions_of(encoder: ImageBindText, captions: list[list[str]]) -> np.ndarray:
    import unittest.mock

    with unittest.mock.patch("limbeck.data.embedding.sentence_encoder", return_value=encoder):
        return embed_captions(captions, embedding="imagebind", width=encoder.width)


def test_its_id_is_that_of_weights_and_merges(tiny: tuple[Path, Any]) -> None:
    path, config = tiny
    one = ImageBindText(path, config).id
    assert ImageBindText(path, config).id == one
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    assert ImageBindText(path, config).id != one


def test_merges_of_another_vocabulary_are_told(tiny: tuple[Path, Any]) -> None:
    from limbeck.encoders.imagebind import TINY

    with pytest.raises(FormatError, match="49408"):
        ImageBindText(tiny[0], TINY)


def test_without_weights_or_merges_it_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: tuple[Path, Any]
) -> None:
    sentences._imagebind.cache_clear()
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("LIMBECK_IMAGEBIND", raising=False)
    with pytest.raises(MissingDependencyError, match=r"imagebind_huge\.pth") as caught:
        sentence_encoder("imagebind")
    assert str(cache_root() / "weights") in str(caught.value)
    with pytest.raises(MissingDependencyError, match="--text-embedding"):
        caption_width("imagebind", 384)
    assert caption_width("hashing", 100) == 100
    monkeypatch.delenv("LIMBECK_CLIP_BPE")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="merges"):
        ImageBindText(tiny[0], tiny[1])


def test_names_are_known() -> None:
    with pytest.raises(ConfigError, match="'imagebind'"):
        sentence_encoder("imagebnd")
    assert imagebind_text.CHUNK > 0


def test_tokens_through_the_trunk_are_the_caption(tiny: tuple[Path, Any]) -> None:
    from limbeck.encoders.imagebind import TokenText
    from limbeck.modalities import Text

    path, config = tiny
    tokens, text = ImageBindTokens(path, config), ImageBindText(path, config)
    values = torch.from_numpy(tokens.encode(TEXTS))
    part = config.part("text")
    assert values.shape == (4, tokens.width) == (4, part.input[0] * part.width + 1)
    modality = Text(name="text", shape=(tokens.width,), embedding=tokens.id)
    assert TokenText.reads(modality)
    assert not TokenText.reads(Text(name="text", shape=(text.width,), embedding=text.id))
    trunk = TokenText(config, modality)
    leaf = values.clone().requires_grad_()
    found = trunk.embed(trunk.load(path), leaf)
    assert np.allclose(found.detach().numpy(), text.encode(TEXTS), atol=1e-4)
    found.sum().backward()
    assert leaf.grad[:, :-1].abs().max() > 0
    assert not leaf.grad[:, -1].any()  # where a text ends is not learnt
