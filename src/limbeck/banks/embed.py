"""A store's items and captions as the embeddings of an encoder that stands still: a store on which any method runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from limbeck.banks.embeddings import kept_as
from limbeck.banks.frozen import Frozen, frozen_encoders
from limbeck.data import open_data
from limbeck.data.caption_embeddings import STORED, CaptionEmbeddings, caption_embeddings
from limbeck.data.meta import SPLITS
from limbeck.data.pairs import Pairs
from limbeck.data.writer import StoreWriter
from limbeck.encoders import Precision
from limbeck.encoders.frozen import check_reads, frozen_kind
from limbeck.encoders.machine import choose_device
from limbeck.errors import ConfigError, nearest
from limbeck.files import digest_of
from limbeck.modalities import Feature, Modality, Text
from limbeck.progress import Progress

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["embed_store"]

Array = np.ndarray[Any, Any]

CHUNK = 64
"""Items that go through an encoder at once."""
CARRIED = ("text_is_label",)
"""Settings that say something of the items, whatever stands for them."""
OF_ITS_OWN = ("imagebind", "clip", "clap")
"""Encoders whose name is also that of the sentence encoder of their space."""
DEFAULT_WORDS = "minilm"
"""Of the others, unless one is named [choice: real weights that come as a package]."""


def embed_store(
    store: str | Path | PairedStore,
    encoder: str,
    out: str | Path,
    *,
    modalities: Sequence[str] | None = None,
    captions: str | None = None,
    pretrained: str = "auto",
    width: int | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    progress: bool = False,
) -> PairedStore:
    """Write the store of ``encoder``'s embeddings of ``store``, plain items without augmentation.

    Columns are vectors named as the originals, exactly as the encoder gives them (in half precision, not
    standardised); splits, labels, ids and captions are the same. Where the set has captions and a text column, all
    captions are embedded too and lie in the store (``captions="stored"``); the text column is their mean by item. Work
    that is killed goes on where it stopped.

    Args:
        encoder: one of :data:`limbeck.encoders.frozen.FROZEN`, or package.module:function.
        out: folder of the new store; must not exist yet.
        modalities: which of the set's; all by default.
        captions: sentence encoder, or "stored" for what the store holds already; by default that of the encoder's own
            space, else "minilm".
        pretrained, width, precision: see :func:`limbeck.banks.frozen.frozen_encoders`.
        device: "auto" takes a GPU where there is one.

    Raises:
        ConfigError: an unknown encoder, a modality it does not read, or a place that cannot be written to.
        MissingDependencyError: weights or packages are missing; says what to put where.
        NumericsError: an embedding is not finite, or too large for half precision; names the item.
        ResumeError: an unfinished store of other embeddings stands there.
    """
    source, target = open_data(store), choose_device(device)
    chosen = _chosen(source, modalities)
    kind = frozen_kind(encoder)
    check_reads(kind, chosen)
    if Path(out).exists():
        raise ConfigError("exists already", where=out, hint="Choose another folder or delete this one.")
    words = _words(source, chosen, encoder, captions, pretrained, target, progress)
    if words is not None:
        chosen = {n: _read_as(m, words) for n, m in chosen.items()}
    learnt_from = _pairs(source, chosen, words) if kind.fitted else source
    frozen = frozen_encoders(
        learnt_from, chosen, encoder,
        pretrained=pretrained, width=width, precision=precision, device=target, progress=progress,
    )  # fmt: skip
    about = {
        "encoder": encoder,
        "id": frozen.id,
        "licence": kind.licence,
        "store": source.name,
        "data": source.data_hash,
        "captions": None if words is None else _text_id(chosen, words, frozen),
    }
    return _Embedding(source, chosen, frozen, words, target).write(Path(out), about, progress)


def _chosen(store: PairedStore, names: Sequence[str] | None) -> dict[str, Modality]:
    for name in names or ():
        if name not in store.modalities:
            raise ConfigError(
                f"the set has no modality {name!r}", where="--modalities", hint=nearest(name, store.modalities)
            )
    return {n: m for n, m in store.modalities.items() if names is None or n in names}


def _words(
    store: PairedStore,
    modalities: Mapping[str, Modality],
    encoder: str,
    captions: str | None,
    pretrained: str,
    device: torch.device,
    progress: bool,
) -> CaptionEmbeddings | None:
    """What sentences embed as before anything of the encoder's; None where no text is read."""
    if not store.captions.total or not any(isinstance(m, Text) for m in modalities.values()):
        if captions is not None:
            raise ConfigError("nothing here is a caption", where="--captions", hint="Leave --captions out.")
        return None
    named = captions or (_default_words(encoder, pretrained) if store.caption_vectors is None else STORED)
    return caption_embeddings(store, named, device=device, progress=progress)


def _default_words(encoder: str, pretrained: str) -> str:
    """The sentence encoder of the encoder's space, where it has one."""
    if encoder in OF_ITS_OWN[1:] and Path(pretrained).is_dir():
        return pretrained
    return encoder if encoder in OF_ITS_OWN and pretrained == "auto" else DEFAULT_WORDS


def _read_as(modality: Modality, words: CaptionEmbeddings) -> Modality:
    """A column of text as the sentences' vectors, which are not standardised."""
    if not isinstance(modality, Text):
        return modality
    return Text(name=modality.name, shape=(words.width,), embedding=words.encoder)


def _pairs(
    store: PairedStore, modalities: Mapping[str, Modality], words: CaptionEmbeddings | None
) -> PairedStore | Pairs:
    """What a fitted encoder learns from: every caption with its picture, where the set is of these."""
    first = [m for m in modalities.values() if not isinstance(m, Text)]
    if words is None or len(modalities) != 2 or len(first) != 1:
        return store
    rows = np.asarray(store.rows("train"), dtype=np.int64)
    counts = words.offsets[rows + 1] - words.offsets[rows]
    rows, counts = rows[counts > 0], counts[counts > 0]
    owner = np.repeat(np.arange(len(rows), dtype=np.int64), counts)
    ordered = dict(sorted(modalities.items(), key=lambda entry: isinstance(entry[1], Text)))
    return Pairs(store, "train", ordered, rows, owner, words.of(rows), words)


def _text_id(modalities: Mapping[str, Modality], words: CaptionEmbeddings, frozen: Frozen) -> str:
    """Equal only where the captions' vectors are."""
    name = _text(modalities)
    if not frozen.weights[name]:  # as they are
        return words.encoder
    return f"{words.encoder}>{digest_of([frozen.encoders[name].id, frozen.id])[:16]}"


def _text(modalities: Mapping[str, Modality]) -> str:
    return next(n for n, m in modalities.items() if isinstance(m, Text))


class _Embedding:
    """The work itself."""

    def __init__(
        self,
        source: PairedStore,
        modalities: Mapping[str, Modality],
        frozen: Frozen,
        words: CaptionEmbeddings | None,
        device: torch.device,
    ) -> None:
        self.source, self.modalities, self.frozen = source, modalities, frozen
        self.words, self.device = words, device

    def write(self, out: Path, about: Mapping[str, Any], progress: bool) -> PairedStore:
        source = self.source
        told = {k: source.settings[k] for k in CARRIED if k in source.settings}
        splits = np.empty(len(source), dtype=object)
        for split in SPLITS:
            if split in source.splits:
                splits[source.rows(split)] = split
        with (
            StoreWriter(
                out,
                name=f"{source.name}-{self.frozen.name}",
                modalities=[self._column(n, m, about) for n, m in self.modalities.items()],
                classes=source.classes,
                settings={"source": "embed", "embedded": dict(about), **told},
                capacity=len(source),
            ) as writer,
            Progress("embeddings", len(source), shown=progress) as bar,
        ):
            for start in range(0, len(source), CHUNK):
                rows = np.arange(start, min(start + CHUNK, len(source)))
                rows = rows[[not writer.done(int(row)) for row in rows]]
                arrays = self._rows(rows) if len(rows) else {}
                for k, row in enumerate(rows.tolist()):
                    label = int(source.labels[row])
                    writer.write(
                        row,
                        id=source.ids[row],
                        split=splits[row],
                        label=None if label < 0 else label,
                        captions=source.captions[row],
                        arrays={name: values[k] for name, values in arrays.items()},
                    )
                bar.update(min(start + CHUNK, len(source)), {}, bar.rate(1))
            return writer.finish(standardise=(), caption_vectors=None if self.words is None else self._captions())

    def _column(self, name: str, modality: Modality, about: Mapping[str, Any]) -> Modality:
        shape = (self.frozen.encoders[name].embedding,)
        if isinstance(modality, Text):
            return Text(name=name, shape=shape, embedding=str(about["captions"] or f"{about['encoder']} {about['id']}"))
        return Feature(name=name, shape=shape)

    def _rows(self, rows: Array) -> dict[str, Array]:
        """By modality (n, D) float16."""
        found = {}
        for name, modality in self.modalities.items():
            if isinstance(modality, Text) and self.words is not None:
                embedded = self._means(self.words, name, rows)
            else:
                embedded = self._embedded(name, self.source.batch(name, rows, self.device))
            found[name] = self._halved(name, embedded, rows)
        return found

    def _means(self, words: CaptionEmbeddings, name: str, rows: Array) -> Array:
        """Of all captions of each item; of none, zeros."""
        vectors = self._embedded(name, words.batch(words.of(rows), self.device))
        counts = words.offsets[rows + 1] - words.offsets[rows]
        sums = np.zeros((len(rows), vectors.shape[1]), np.float64)
        np.add.at(sums, np.repeat(np.arange(len(rows)), counts), vectors)
        means: Array = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
        return means

    @torch.no_grad()
    def _embedded(self, name: str, x: torch.Tensor) -> Array:
        if not len(x):
            return np.empty((0, self.frozen.encoders[name].embedding), np.float32)
        found: Array = self.frozen.embed(name, x).float().cpu().numpy()
        return found

    def _halved(self, name: str, found: Array, rows: Array) -> Array:
        whose = f"the embedding of {name} by {self.frozen.name}"
        return kept_as(found, np.dtype(np.float16), whose, lambda k: self.source.ids[int(rows[k])])

    def _captions(self) -> Iterator[Array]:
        """What all captions embed as, in the items' order."""
        assert self.words is not None
        name = _text(self.modalities)
        for k in range(math.ceil(len(self.words) / CHUNK)):
            numbers = np.arange(k * CHUNK, min((k + 1) * CHUNK, len(self.words)))
            yield self._embedded(name, self.words.batch(numbers, self.device))
