"""The vectors of all captions of a store, made once and mapped ever after.

They lie under ``cache_root()/"captions"/<hash>/``, by what they depend on: the captions themselves, how they are
cleaned and the encoder. A store of the same captions with other pictures finds them made; work that is killed goes on
where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.data import cache_root
from limbeck.data.arrays import digest, map_array, npy_header
from limbeck.data.captions import clean_caption
from limbeck.data.meta import read_meta
from limbeck.data.sentences import SentenceEncoder, sentence_encoder
from limbeck.errors import ConfigError, DataError, FormatError, NumericsError, ShapeError
from limbeck.files import digest_of, read_json, write_json
from limbeck.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from limbeck.data.store import PairedStore

__all__ = ["STORED", "CaptionEmbeddings", "caption_embeddings", "default_captions"]

Array = np.ndarray[Any, Any]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

STORED = "stored"
"""In place of an encoder's name: the vectors that the store itself holds."""
BLOCK = 1024
"""Captions between two moments at which killed work can go on; whole chunks of any encoder."""
CLEANING = 1
"""Of what :func:`clean_caption` does, for the cache."""


@dataclass(frozen=True)
class CaptionEmbeddings:
    """M captions of N items.

    Args:
        vectors: (M, D) float32, as the encoder gives them, mapped, read-only.
        owner: (M,) int64, the item of each caption, ascending.
        offsets: (N + 1,) int64: item i has the captions offsets[i]..offsets[i + 1].
        encoder: the encoder's id.
    """

    vectors: Array
    owner: IntArray
    offsets: IntArray
    encoder: str

    def __len__(self) -> int:
        return len(self.owner)

    @property
    def width(self) -> int:
        """D."""
        return int(self.vectors.shape[1])

    def of(self, items: Sequence[int] | Array) -> IntArray:
        """(m,) int64: numbers of the captions of ``items``, item by item in their order.

        Raises ShapeError on an item there is not.
        """
        rows = np.asarray(items, dtype=np.int64)
        if rows.ndim != 1 or (len(rows) and not (rows.min() >= 0 and rows.max() < len(self.offsets) - 1)):
            raise ShapeError(f"items must be a list of numbers in 0..{len(self.offsets) - 2}")
        counts = self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(counts)
        first: IntArray = np.repeat(self.offsets[rows] - (ends - counts), counts)
        return first + np.arange(int(counts.sum()))

    def batch(self, captions: Sequence[int] | Array, device: str | torch.device = "cpu") -> Tensor:
        """(m, D) float32 of the captions of these numbers, on ``device``. Raises ShapeError on one there is not."""
        import torch

        rows = np.asarray(captions, dtype=np.int64)
        if rows.ndim != 1 or (len(rows) and not (rows.min() >= 0 and rows.max() < len(self))):
            raise ShapeError(f"captions must be a list of numbers in 0..{len(self) - 1}")
        return torch.from_numpy(np.take(self.vectors, rows, axis=0)).to(device)


def caption_embeddings(
    store: PairedStore,
    encoder: str = "minilm",
    *,
    device: str | torch.device = "cpu",
    progress: bool = False,
    make: bool = True,
) -> CaptionEmbeddings:
    """The vectors of all captions of ``store``, cleaned as the image-text papers do, by a frozen encoder.

    Args:
        store: with captions.
        encoder: "minilm", "bert", "distilbert", "hashing" or a model's folder, see
            :func:`limbeck.data.sentences.sentence_encoder`; "stored": the vectors that a store of embeddings holds.
        device: where vectors are computed that are not in the cache.
        progress: show a bar or lines on standard error.
        make: False takes them from the cache or not at all.

    Raises:
        DataError: the store has no captions; their vectors are not in the cache and are not to be made.
        MissingDependencyError: the encoder's package or weights are missing; says what to put where.
        ConfigError: an unknown encoder, or a cache that cannot be written.
        FormatError: the cached vectors, or the encoder's files, are damaged.
        NumericsError: the encoder gives values that are not finite.
    """
    import filelock

    if not store.captions.total:
        raise DataError("has no captions", where=store.path, hint="Prepare it from a source of pictures and captions.")
    if encoder == STORED:
        return _stored(store)
    chosen = sentence_encoder(encoder)
    folder = cache_root() / "captions" / _key(store, chosen)
    try:
        if not make and not (folder / "vectors.npy").exists():
            raise DataError(f"the vectors of its captions by {encoder} are not in the cache", where=store.path)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "vectors.npy").exists():
            with filelock.FileLock(str(folder / "lock")):
                if not (folder / "vectors.npy").exists():
                    _make(folder, store, chosen, device, progress)
    except OSError as error:
        hint = "Set LIMBECK_CACHE to a folder that can be."
        raise ConfigError(
            f"the cache cannot be written ({error.strerror or error})", where=folder, hint=hint
        ) from error
    return _of(store, _mapped(folder, store.captions.total, chosen), chosen.id)


def default_captions(store: PairedStore) -> str:
    """The encoder of captions where none is named: the papers' BERT, of a store of embeddings what it holds."""
    return "bert" if store.caption_vectors is None else STORED


def _stored(store: PairedStore) -> CaptionEmbeddings:
    if store.caption_vectors is None:
        raise DataError(
            "holds no vectors of its captions", where=store.path, hint="`limbeck embed` makes stores that do."
        )
    embedded = store.settings.get("embedded")
    name = embedded.get("captions") if isinstance(embedded, dict) else None
    return _of(store, store.caption_vectors, str(name or STORED))


def _of(store: PairedStore, vectors: Array, encoder: str) -> CaptionEmbeddings:
    offsets = store.captions.offsets
    owner: IntArray = np.repeat(np.arange(len(store), dtype=np.int64), np.diff(offsets))
    return CaptionEmbeddings(vectors, owner, offsets, encoder)


def _key(store: PairedStore, encoder: SentenceEncoder) -> str:
    hashes = read_meta(store.path)["hashes"]
    captions = [hashes[f"index.{name}.npy"] for name in ("captions", "captions_offsets")]
    return digest_of({"captions": captions, "cleaning": CLEANING, "encoder": encoder.id})[:32]


def _make(folder: Path, store: PairedStore, encoder: SentenceEncoder, device: Any, progress: bool) -> None:
    """Write the vectors block by block: what is whole in the unfinished file, is done."""
    total, part = store.captions.total, folder / "vectors.partial"
    header, row = npy_header((total, encoder.width), "float32"), 4 * encoder.width
    done = 0
    if part.exists():
        with part.open("rb") as file:
            whole = file.read(len(header)) == header
        done = min(total, (part.stat().st_size - len(header)) // row // BLOCK * BLOCK) if whole else 0
    with part.open("r+b" if done else "wb") as file, Progress("captions", total, done=done, shown=progress) as bar:
        if done:
            file.truncate(len(header) + done * row)
            file.seek(0, os.SEEK_END)
        else:
            file.write(header)
        for start in range(done, total, BLOCK):
            texts = [clean_caption(text) for text in store.captions.strings[start : start + BLOCK]]
            vectors = encoder.encode(texts, device)
            if not np.isfinite(vectors).all():
                raise NumericsError(f"the encoder {encoder.id} gives values that are not finite", where=store.path)
            file.write(vectors.astype("<f4", copy=False).tobytes())
            file.flush()
            bar.update(start + len(texts), {}, bar.rate(1))
        os.fsync(file.fileno())
    about = {"encoder": encoder.id, "digest": digest(part, len(header), sampled=True)}
    write_json(folder / "about.json", about)
    part.rename(folder / "vectors.npy")  # the last step: where this file is, all is well


def _mapped(folder: Path, total: int, encoder: SentenceEncoder) -> Array:
    file = folder / "vectors.npy"
    try:
        vectors, offset = map_array(file, (total, encoder.width), "float32")
        if read_json(folder / "about.json").get("digest") != digest(file, offset, sampled=True):
            raise FormatError("is not what was written: edited or damaged", where=file)
    except FormatError as error:
        hint = "Remove its folder: the vectors are made again."
        raise FormatError(error.what, where=error.where, hint=hint) from error
    return vectors
