"""Vectors of captions that lie in a store: written with it, checked with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.caption_embeddings import caption_embeddings, default_captions
from limbeck.data.pairs import Pairs
from limbeck.data.store import PairedStore
from limbeck.data.writer import StoreWriter
from limbeck.errors import DataError, FormatError
from limbeck.modalities import Feature, Text

TEXTS = [("one", "two"), (), ("three",)]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)


def written(path: Path, blocks: list[np.ndarray[Any, Any]] | None, **settings: Any) -> PairedStore:
    modalities = [Feature(name="image", shape=(2,)), Text(shape=(4,))]
    with StoreWriter(path, name="x", modalities=modalities, capacity=len(TEXTS), settings=settings) as writer:
        for k, texts in enumerate(TEXTS):
            arrays = {"image": np.zeros(2, np.float16), "text": np.zeros(4, np.float16)}
            writer.write(k, id=str(k), captions=texts, arrays=arrays)
        vectors: Iterator[np.ndarray[Any, Any]] | None = None if blocks is None else iter(blocks)
        return writer.finish(standardise=(), caption_vectors=vectors)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "s", [VECTORS[:2], VECTORS[2:]], embedded={"captions": "by somebody"})
    store = PairedStore.open(tmp_path / "s")
    found = caption_embeddings(store, "stored")
    assert (found.width, found.encoder, found.owner.tolist()) == (4, "by somebody", [0, 0, 2])
    assert np.array_equal(found.batch([2, 0]).numpy(), VECTORS[[2, 0]])
    assert store.caption_vectors is not None
    pairs = Pairs.of(store, "train")
    assert pairs.items.tolist() == [0, 2]
    assert np.array_equal(pairs.seconds([0, 1, 2]).numpy(), VECTORS)
    plain = written(tmp_path / "plain", None)
    assert plain.caption_vectors is None
    assert store.data_hash != plain.data_hash
    assert (default_captions(store), default_captions(plain)) == ("stored", "bert")
    assert caption_embeddings(written(tmp_path / "other", [VECTORS]), "stored").encoder == "stored"


@pytest.mark.parametrize(
    "blocks", [[], [VECTORS[:2]], [VECTORS, VECTORS], [VECTORS[:2], VECTORS[2:, :3]], [VECTORS * np.nan]]
)
def test_vectors_that_do_not_fit_the_captions(tmp_path: Path, blocks: list[np.ndarray[Any, Any]]) -> None:
    with pytest.raises(DataError, match="vectors of"):
        written(tmp_path / "s", blocks)
    assert not (tmp_path / "s").exists()


def test_a_store_that_lost_them(tmp_path: Path) -> None:
    written(tmp_path / "s", [VECTORS])
    (tmp_path / "s" / "index.captions_vectors.npy").unlink()
    with pytest.raises(FormatError, match="captions_vectors"):
        PairedStore.open(tmp_path / "s")
    about = json.loads((tmp_path / "s" / "store.json").read_text())
    about["sizes"]["captions_width"] = 5
    (tmp_path / "s" / "store.json").write_text(json.dumps(about))
    with pytest.raises(FormatError, match="edited"):
        PairedStore.open(tmp_path / "s")
