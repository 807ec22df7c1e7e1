"""The small columns of a store: labels, splits, ids and captions; and the vectors of captions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.arrays import npy_header, offsets_of
from limbeck.data.journal import Journal
from limbeck.data.meta import SPLITS
from limbeck.errors import DataError

__all__ = ["write_index", "write_vectors"]

Array = np.ndarray[Any, Any]


def write_index(folder: Path, journal: Journal, rows: Array) -> tuple[Array, Array, dict[str, int]]:
    """Write labels, splits, ids and captions of ``rows``, in their order; -> (labels, splits, sizes of the blobs).

    Raises DataError where two have the same id.
    """
    n = len(rows)
    labels, splits = np.empty(n, np.int64), np.empty(n, np.uint8)
    seen: dict[bytes, int] = {}
    ids, captions = bytearray(), bytearray()
    id_lengths, caption_lengths, caption_counts = [], [], []
    for k, entry in enumerate(journal.entries(rows)):
        labels[k], splits[k] = entry["label"], SPLITS.index(entry["split"])
        raw = entry["id"].encode()
        if raw in seen:
            raise DataError(
                f"two items have the id {entry['id']!r} (rows {rows[seen[raw]]} and {rows[k]})", where=folder
            )
        seen[raw] = k
        ids += raw
        id_lengths.append(len(raw))
        texts = [c.encode() for c in entry.get("captions", ())]
        captions += b"".join(texts)
        caption_lengths += [len(t) for t in texts]
        caption_counts.append(len(texts))
    arrays: dict[str, Array] = {
        "labels": labels,
        "splits": splits,
        "ids": np.frombuffer(bytes(ids), np.uint8),
        "ids_offsets": offsets_of(id_lengths),
        "captions": np.frombuffer(bytes(captions), np.uint8),
        "captions_offsets": offsets_of(caption_lengths),
        "captions_items": offsets_of(caption_counts),
    }
    for name, array in arrays.items():
        with (folder / f"index.{name}.npy").open("wb") as file:
            file.write(npy_header(array.shape, array.dtype.name))
            file.write(array.tobytes())
    sizes = {"ids_bytes": len(ids), "captions": len(caption_lengths), "captions_bytes": len(captions)}
    return labels, splits, sizes


def write_vectors(file: Path, captions: int, blocks: Iterable[Array]) -> int:
    """Write what ``captions`` captions embed as, block after block of (n, D); -> D.

    Raises DataError where there are more or fewer, or values that are not finite.
    """
    width = done = 0
    with file.open("wb") as out:
        for block in blocks:
            if not done:
                width = block.shape[1]
                out.write(npy_header((captions, width), "float32"))
            if block.shape[1] != width or not np.isfinite(block).all():
                raise DataError("the vectors of captions are of several widths, or not finite", where=file)
            out.write(block.astype("<f4", copy=False).tobytes())
            done += len(block)
    if done != captions or not done:
        raise DataError(f"{done} vectors of {captions} captions", where=file)
    return width
