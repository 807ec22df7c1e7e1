"""From media files to a store: list, split, decode in parallel, write resumably."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.data.decode import Failure, Plan, chunks, decode_safely
from limbeck.data.embedding import caption_width, embed_captions
from limbeck.data.listing import SKIP_HINT, Listing, list_rows
from limbeck.data.pictures import read_feature
from limbeck.data.pool import cores, spread
from limbeck.data.readers import READERS
from limbeck.data.rows import Pictures, Reader, Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.statistics import standardised_by_default
from limbeck.data.store import PairedStore
from limbeck.data.writer import StoreWriter
from limbeck.errors import ConfigError, DataError, FormatError, nearest
from limbeck.files import digest_of, writing_to
from limbeck.modalities import Audio, Depth, Feature, Image, Modality, Text
from limbeck.modalities.audio import KALDI_MEAN, KALDI_STD
from limbeck.progress import Progress

__all__ = ["PrepareSettings", "prepare"]

SMALL = 48
"""Fewer items than this are decoded sooner than worker processes start."""
TEXT_BLOCK = 64


def prepare(
    reader: str,
    root: str | Path,
    out: str | Path,
    *,
    settings: PrepareSettings | None = None,
    on_error: Literal["error", "skip"] = "error",
    workers: int | None = None,
    progress: bool = True,
    resume: bool = True,
) -> PairedStore:
    """Decode a set of media once into a store.

    Args:
        reader: a name in ``limbeck.data.READERS``.
        root: the set's folder, or its listing.
        out: folder of the store. A finished one of the same data and settings is opened, an unfinished one is
            finished: rows whose files changed since are decoded again.
        settings: preprocessing.
        on_error: "error" stops at the first bad item and names file and row; "skip" leaves out exactly the bad items
            and lists them in the store. A benchmark's videos and pictures that are missing, or that the papers
            leave out, are listed there under both.
        workers: processes; None: one per core.
        progress: show a bar or lines on standard error.
        resume: False starts an unfinished preparation over.

    Raises:
        ConfigError: an unknown reader or setting; ``out`` cannot be written or holds something else: a store of other
            data or settings, of files that changed since, or, under "error", one that left items out.
        DataError: bad data under "error"; a listing that cannot be read; a class without items.
        ResumeError: ``out`` is the unfinished store of other settings.
    """
    chosen = settings or PrepareSettings()
    if reader not in READERS:
        raise ConfigError(f"unknown reader {reader!r}", where="prepare", hint=nearest(reader, READERS))
    if on_error not in ("error", "skip"):
        raise ConfigError(f"unknown policy {on_error!r}", where="on_error", hint=nearest(on_error, ("error", "skip")))
    source = READERS[reader](Path(root), chosen)
    listing = list_rows(source, chosen, on_error)
    modalities = _modalities(source, listing.rows, chosen)
    recorded = _recorded(source, listing, chosen)
    sources = {"files": digest_of(listing.stamps)}
    with writing_to(Path(out)):
        finished = Path(out).exists()
    if finished:
        return _reopened(Path(out), {**recorded, **sources}, on_error, len(listing.bad))
    with StoreWriter(
        out,
        name=Path(out).resolve().name,
        modalities=modalities,
        classes=listing.classes,
        settings=recorded,
        capacity=len(listing.rows) + len(listing.bad),
        resume=resume,
    ) as writer:
        _fill(writer, source, listing, chosen, on_error=on_error, workers=workers, progress=progress)
        standardise = standardised_by_default(modalities)
        if chosen.normalisation == "store":
            standardise += [m.name for m in modalities if m.kind == "image"]
        return writer.finish(standardise=standardise, sources=sources)


# -- what the store will hold ------------------------------------------------------------------------------------------


def _modalities(source: Reader, rows: Sequence[Row], settings: PrepareSettings) -> list[Modality]:
    offered = source.offers
    names = offered if settings.modalities is None else settings.modalities
    for name in names:
        if name not in offered:
            raise ConfigError(f"the data has no {name!r}", where="modalities", hint=nearest(name, offered))
    if not names or len(set(names)) != len(names):
        raise ConfigError("name at least one modality, each once", where="modalities")
    shapes = source.shapes()
    pictures = Pictures.clip() if settings.normalisation == "clip" else source.pictures
    return [_modality(name, rows, settings, pictures, shapes.get(name)) for name in names]


def _modality(
    name: str, rows: Sequence[Row], settings: PrepareSettings, pictures: Pictures, shape: tuple[int, ...] | None
) -> Modality:
    size = settings.image_size
    if name == "image":
        return Image(shape=shape or (settings.channels, size, size), mean=pictures.mean, std=pictures.std)
    if name == "depth":
        return Depth(shape=(1, size, size))
    if name == "text":
        width = caption_width(settings.text_embedding, settings.text_width)
        return Text(shape=(width,), embedding=settings.text_embedding)
    if name == "feature":
        return Feature(shape=(_feature_width(rows),))
    kaldi = settings.mel == "kaldi"
    return Audio(
        shape=shape or (settings.sound_clips or 1, settings.n_mels, settings.mel_frames),
        mean=(KALDI_MEAN if kaldi else 0.0,),
        std=(KALDI_STD if kaldi else 1.0,),
        sample_rate=settings.sample_rate,
        n_fft=settings.n_fft,
        hop=settings.effective_hop,
        scale=settings.mel,
        clip_samples=settings.samples if kaldi else 0,
    )


def _feature_width(rows: Sequence[Row]) -> int:
    """That of the first vector that can be read."""
    reason = "no row has one"
    for row in rows:
        try:
            return len(read_feature(row.media["feature"].path))
        except DataError as error:
            reason = str(error)
    raise DataError(f"no feature can be read: {reason}")


def _recorded(source: Reader, listing: Listing, settings: PrepareSettings) -> dict[str, Any]:
    """The store's settings: all there are, and a fingerprint of the listing, so that only like goes on with like."""
    base = source.root if source.root.is_dir() else source.root.parent
    recorded = {**dataclasses.asdict(settings), "hop": settings.effective_hop, "rows": listing.fingerprint(base)}
    told = {"text_is_label": True} if source.text_is_label else {}
    return {"reader": source.name, **told, **{k: list(v) if isinstance(v, tuple) else v for k, v in recorded.items()}}


def _reopened(out: Path, recorded: dict[str, Any], on_error: str, listed: int) -> PairedStore:
    """``listed``: rows that were no items before anything was decoded, which "error" allows."""
    hint = "Choose another folder (--out) or delete this one."
    try:
        store = PairedStore.open(out)
    except (DataError, FormatError) as error:
        raise ConfigError("exists already and is no sound store", where=out, hint=hint) from error
    changed = [k for k in {**store.settings, **recorded} if store.settings.get(k) != recorded.get(k)]
    if changed:
        names = ", ".join(_MEANING.get(k, k) for k in sorted(changed))
        raise ConfigError(f"holds a store of other data or settings ({names})", where=out, hint=hint)
    if len(store.skipped) > listed and on_error == "error":
        first = store.skipped[0]
        what = f"holds a store that left out {len(store.skipped)} items, the first {first['id']!r}: {first['reason']}"
        raise ConfigError(what, where=out, hint=f"Take it as it is with --on-error skip. {hint}")
    return store


_MEANING = {"rows": "rows of the listing", "files": "size or time of the source files"}


# -- decoding ----------------------------------------------------------------------------------------------------------


def _fill(
    writer: StoreWriter,
    source: Reader,
    listing: Listing,
    settings: PrepareSettings,
    *,
    on_error: str,
    workers: int | None,
    progress: bool,
) -> None:
    rows, order = listing.rows, {label: k for k, label in enumerate(listing.classes)}
    if on_error == "error":
        writer.redo_skipped()
    stamps = listing.stamps
    todo = [(k, row) for k, row in enumerate(rows) if not writer.done(k, stamps[k])]
    processes = workers if workers is not None else (cores() if len(todo) >= SMALL else 1)
    before, skipped = len(rows) - len(todo), 0
    with Progress("prepare", len(rows), done=before, shown=progress) as bar:
        for k, entry in enumerate(listing.bad, len(rows)):
            if not writer.done(k):
                writer.skip(k, id=entry.id, reason=entry.reason, file=entry.listing, source_row=entry.number)
        for through, (k, result) in enumerate(_decoded(todo, source, rows, writer, settings, processes), before + 1):
            row = rows[k]
            if isinstance(result, Failure):
                file = _relative(result.file, source.root)
                if on_error == "error":
                    raise DataError(result.reason, where=f"{row.listing}, row {row.number} ({file})", hint=SKIP_HINT)
                writer.skip(k, id=row.id, reason=result.reason, file=file, source_row=row.number, stamp=stamps[k])
                skipped += 1
            else:
                label = None if row.label is None else order[row.label]
                split = row.split or "train"
                captions, stamp = row.captions, stamps[k]
                writer.write(k, id=row.id, arrays=result, split=split, label=label, captions=captions, stamp=stamp)
            bar.update(through, {"skipped": skipped} if skipped else {}, bar.rate(1))


def _decoded(
    todo: Sequence[tuple[int, Row]],
    source: Reader,
    rows: Sequence[Row],
    writer: StoreWriter,
    settings: PrepareSettings,
    workers: int,
) -> Iterator[tuple[int, dict[str, Any] | Failure]]:
    """(row number, arrays of all modalities or what went wrong), in the order they are ready."""
    from_files = {n: m for n, m in writer.modalities.items() if m.kind != "text"}
    function = partial(decode_safely, plan=Plan(settings, from_files, source.pictures.filter))
    if "text" not in writer.modalities:
        yield from spread(function, chunks(todo), workers=workers, crashed=_crashed)
        return

    @lru_cache(maxsize=64)
    def block(number: int) -> np.ndarray[Any, Any]:
        # whole blocks in the order of rows: the same numbers whatever order the items come in
        part = rows[number * TEXT_BLOCK : (number + 1) * TEXT_BLOCK]
        width = writer.modalities["text"].shape[0]
        return embed_captions([r.captions for r in part], embedding=settings.text_embedding, width=width)

    for k, result in spread(function, chunks(todo), workers=workers, crashed=_crashed):
        vector = block(k // TEXT_BLOCK)[k % TEXT_BLOCK]
        if isinstance(result, Failure):
            yield k, result
        elif not vector.any():
            yield k, Failure(f"the caption {rows[k].captions[0]!r} holds no word", None)
        else:
            yield k, {name: vector if name == "text" else result[name] for name in writer.modalities}


def _crashed(row: Row) -> dict[str, Any] | Failure:
    return Failure("crashed or hung the decoder", next((str(m.path) for m in row.media.values()), None))


def _relative(file: str | None, root: Path) -> str:
    base = root if root.is_dir() else root.parent
    return "no file" if file is None else Path(os.path.relpath(file, base)).as_posix()
