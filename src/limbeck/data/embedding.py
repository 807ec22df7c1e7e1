"""Captions as one vector an item, without a download."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from limbeck.data.sentences import sentence_encoder
from limbeck.errors import MissingDependencyError

__all__ = ["caption_width", "embed_captions"]

Array = np.ndarray[Any, Any]


def embed_captions(captions: Sequence[Sequence[str]], *, embedding: str, width: int) -> Array:
    """(n, width) float16: for each item the mean of its captions' vectors, of unit length; zero where none has a word.

    Args:
        captions: at least one caption an item.
        embedding: "hashing" (scikit-learn's HashingVectorizer: signed counts of words) or another name of
            :func:`limbeck.data.sentences.sentence_encoder`.
        width: of the vectors; see :func:`caption_width`.

    Raises MissingDependencyError without the extra, or the weights.
    """
    vectors = sentence_encoder(embedding, width).encode([text for texts in captions for text in texts])
    borders = np.cumsum([0, *(len(texts) for texts in captions)])
    means = np.stack([vectors[a:b].mean(axis=0) for a, b in pairwise(borders)])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    result: Array = (means / np.where(lengths > 0, lengths, 1)).astype(np.float16)
    return result


def caption_width(embedding: str, width: int) -> int:
    """Numbers of a caption's vector: ``width`` of "hashing" and "minilm", else the encoder's own.

    Raises MissingDependencyError where the encoder's weights are not on this machine.
    """
    if embedding in ("hashing", "minilm"):
        return width
    try:
        return sentence_encoder(embedding).width
    except MissingDependencyError as error:
        hint = f"{error.hint} Or choose another --text-embedding: hashing needs nothing."
        raise MissingDependencyError(error.what, where=error.where, hint=hint) from error
