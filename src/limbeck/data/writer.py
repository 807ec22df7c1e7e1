"""Writing a store so that a killed preparation goes on where it stopped.

Items land in ``<path>.partial``; each finished row is one line of its journal, with a checksum of the row's bytes.
``finish`` drops what was skipped, computes normalisation, hashes, and renames the folder into place, so that nothing
half-written ever bears the store's name.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from limbeck.data.arrays import digest, map_array, npy_header, offsets_of
from limbeck.data.store import FORMAT, NAME, SPLITS, VERSION, PairedStore, array_plan, content_hash, sha256
from limbeck.errors import ConfigError, DataError, ResumeError, nearest
from limbeck.modalities import Audio, Modality

__all__ = ["StoreWriter", "standardised_by_default"]

Array = np.ndarray[Any, Any]

TODO, DONE, SKIPPED = 0, 1, 2
STANDARDISED = ("audio", "depth", "feature")
"""Kinds whose mean and std are those of the train split: every set has a scale of its own (docs/audio_visual.md)."""


class StoreWriter:
    """Write a store row by row, in any order, resumably.

    Args:
        path: of the finished store; must not exist yet.
        name: the data set family.
        modalities: what each item holds; their mean and std are those of :meth:`finish`.
        classes: class names; () for an unlabelled set.
        settings: everything the bytes depend on (JSON values): a staging folder is taken up only where it is equal.
        capacity: rows 0..capacity-1 exist.
        resume: False throws an unfinished staging folder away.

    Raises:
        ConfigError: the path exists already, or names do not fit.
        ResumeError: an unfinished preparation with other settings stands there.
        DataError: another process is writing there.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str,
        modalities: Sequence[Modality],
        classes: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        capacity: int,
        resume: bool = True,
    ) -> None:
        self.path = Path(path)
        self.staging = self.path.with_name(self.path.name + ".partial")
        self.name, self.classes = name, tuple(classes)
        self.modalities = {m.name: m for m in modalities}
        self.settings = json.loads(json.dumps(settings or {}))
        self.capacity = capacity
        self.status = np.zeros(max(0, capacity), np.uint8)
        self._lines = np.zeros(max(0, capacity), np.int64)
        self._files: dict[str, int] = {}
        self._journal: BinaryIO | None = None
        self._final = self.staging / "store"
        self._lock = _lock(self.staging)
        try:
            self._check_arguments(modalities)
            if not resume:
                shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir(exist_ok=True)
            self._take_up()
        except BaseException:
            self.close()
            raise

    def _check_arguments(self, modalities: Sequence[Modality]) -> None:
        if self.path.exists():
            raise ConfigError("exists already", where=self.path, hint="Choose another folder or delete this one.")
        if self.capacity < 1:
            raise DataError("there is nothing to write", where=self.path)
        if not modalities or len(self.modalities) != len(modalities):
            raise ConfigError("a store needs modalities of different names", where=self.path)
        for name in self.modalities:
            if not NAME.fullmatch(name):
                raise ConfigError(f"a modality cannot be called {name!r}", where=self.path, hint="Use a-z, 0-9 and _.")
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError("two classes have the same name", where=self.path)

    # -- taking up a staging folder ------------------------------------------------------------------------------

    def _take_up(self) -> None:
        plan = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "capacity": self.capacity,
            "classes": list(self.classes),
            "modalities": [m.to_dict() for m in self.modalities.values()],
            "settings": self.settings,
        }
        plan = json.loads(json.dumps(plan))
        file = self.staging / "plan.json"
        fresh = not file.exists()
        if fresh:
            shutil.rmtree(self.staging)
            self.staging.mkdir()
        else:
            self._same_plan(file, plan)
            self._undo_finish()
        for m in self.modalities.values():
            self._files[m.name] = self._open_array(m, fresh=fresh)
        _write_atomically(file, json.dumps(plan).encode())
        (self.staging / "rows.jsonl").touch()
        self._read_journal()
        self._journal = (self.staging / "rows.jsonl").open("ab")

    def _same_plan(self, file: Path, plan: Mapping[str, Any]) -> None:
        try:
            old = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            old = {}
        changed = [k for k in plan if plan[k] != old.get(k)]
        if changed:
            names = changed
            if "settings" in changed:  # what people set says more than what follows from it
                both = {**old["settings"], **plan["settings"]}
                names = [k for k in both if old["settings"].get(k) != plan["settings"].get(k)]
            raise ResumeError(
                f"an unfinished preparation with other {', '.join(sorted(names))} stands here",
                where=self.staging,
                hint="Use the same settings to go on with it, or start over (resume=False).",
            )

    def _undo_finish(self) -> None:
        """A kill inside :meth:`finish` may leave arrays in the folder that was about to be published."""
        for m in self.modalities.values():
            path, moved = self.staging / f"{m.name}.npy", self._final / f"{m.name}.npy"
            if not path.exists() and moved.exists():
                moved.rename(path)
        shutil.rmtree(self._final, ignore_errors=True)

    def _open_array(self, modality: Modality, *, fresh: bool) -> int:
        path = self.staging / f"{modality.name}.npy"
        shape = (self.capacity, *modality.shape)
        if fresh:
            with path.open("wb") as file:
                header = npy_header(shape, modality.dtype)
                file.write(header)
                file.truncate(len(header) + int(np.prod(shape)) * np.dtype(modality.dtype).itemsize)
        else:
            map_array(path, shape, modality.dtype)  # raises where somebody changed it
        return os.open(path, os.O_RDWR)

    def _offset(self, modality: Modality) -> int:
        return len(npy_header((self.capacity, *modality.shape), modality.dtype))

    def _read_journal(self) -> None:
        """Note what is done. A last line cut short, or a row whose bytes never reached the disk, is done again."""
        position = 0
        with (self.staging / "rows.jsonl").open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                    row = int(entry["row"])
                    skipped = entry.get("skipped") is not None
                    good = skipped or entry["sum"] == self._checksum(row)
                except (ValueError, KeyError, TypeError):
                    break
                if good and 0 <= row < self.capacity:
                    self.status[row], self._lines[row] = (SKIPPED if skipped else DONE), position
                position += len(line)
        os.truncate(self.staging / "rows.jsonl", position)

    def _checksum(self, row: int) -> int:
        total = 0
        for m in self.modalities.values():
            size = int(np.prod(m.shape)) * np.dtype(m.dtype).itemsize
            total = zlib.crc32(os.pread(self._files[m.name], size, self._offset(m) + row * size), total)
        return total

    # -- writing -------------------------------------------------------------------------------------------------

    def done(self, row: int) -> bool:
        """Whether the row was written or skipped, now or before an interruption."""
        return bool(self.status[row] != TODO)

    def write(
        self,
        row: int,
        *,
        id: str,
        arrays: Mapping[str, Array],
        split: str = "train",
        label: int | None = None,
        captions: Sequence[str] = (),
    ) -> None:
        """Write one item. ``arrays``: modality -> array of its shape and stored type.

        Raises DataError on anything that does not fit, and on values that are not finite.
        """
        where = f"item {id!r} (row {row})"
        if not 0 <= row < self.capacity:
            raise ConfigError(f"the store has rows 0..{self.capacity - 1}", where=where)
        if split not in SPLITS:
            raise DataError(f"unknown split {split!r}", where=where, hint=nearest(split, SPLITS))
        try:
            "\n".join([id, *captions]).encode()
        except UnicodeEncodeError as error:
            raise DataError("its id or a caption is not valid Unicode", where=where) from error
        number = -1 if label is None else int(label)
        if not -1 <= number < len(self.classes):
            raise DataError(f"label {number} is none of the {len(self.classes)} classes", where=where)
        if set(arrays) != set(self.modalities):
            raise DataError(
                f"has {', '.join(sorted(arrays))}; the store needs {', '.join(self.modalities)}", where=where
            )
        total = 0
        for m in self.modalities.values():
            array = np.ascontiguousarray(arrays[m.name])
            if array.shape != m.shape or array.dtype != np.dtype(m.dtype):
                found = f"{array.dtype} {array.shape}"
                raise DataError(f"{m.name} is {found}, the store holds {m.dtype} {m.shape}", where=where)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataError(f"{m.name} holds values that are not finite", where=where)
            data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            try:
                os.pwrite(self._files[m.name], data, self._offset(m) + row * len(data))
            except OSError as error:
                raise DataError(f"cannot be written: {error.strerror}", where=self.staging / f"{m.name}.npy") from error
            total = zlib.crc32(data, total)
        entry = {"row": row, "id": id, "label": number, "split": split, "sum": total}
        self._note(row, DONE, {**entry, "captions": list(captions)} if captions else entry)

    def skip(self, row: int, *, id: str, reason: str, file: str | None = None, source_row: int | None = None) -> None:
        """Leave a row out; it is counted and listed in the store as {id, row, file, reason}."""
        listed = {"id": id, "row": row if source_row is None else source_row, "file": file, "reason": reason}
        self._note(row, SKIPPED, {"row": row, "skipped": listed})

    def _note(self, row: int, status: int, entry: Mapping[str, Any]) -> None:
        assert self._journal is not None, "finished or closed"
        self._lines[row] = self._journal.tell()
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()
        self.status[row] = status

    # -- finishing -----------------------------------------------------------------------------------------------

    def finish(self, *, standardise: Collection[str] | None = None) -> PairedStore:
        """Turn the staging folder into the store and open it.

        Args:
            standardise: modalities whose mean and std (per channel; one number for vectors) are computed on the train
                split, or on everything where there is none. None: kinds audio (unless raw decibel), depth and feature.

        Raises DataError where rows are missing, ids repeat, a class has no item, or nothing is left.
        """
        missing = int(np.sum(self.status == TODO))
        if missing:
            raise DataError(f"{missing} of {self.capacity} rows are neither written nor skipped", where=self.staging)
        rows = np.flatnonzero(self.status == DONE)
        if not len(rows):
            raise DataError(
                "every item was skipped", where=self.path, hint=f"First reason: {self._skipped()[0]['reason']}"
            )
        shutil.rmtree(self._final, ignore_errors=True)
        self._final.mkdir()
        labels, splits, sizes = self._write_index(rows)
        self._check_classes(labels)
        arrays = {m.name: self._array(m, rows) for m in self.modalities.values()}
        if standardise is None:
            standardise = standardised_by_default(list(self.modalities.values()))
        train = splits == SPLITS.index("train")
        used = np.flatnonzero(train) if train.any() else np.arange(len(rows))
        modalities = [
            _standardised(m, arrays[m.name], used) if m.name in standardise else m for m in self.modalities.values()
        ]
        self._write_meta(modalities, len(rows), sizes)
        return self._publish()

    def _entries(self, rows: Sequence[int] | Array) -> Iterator[dict[str, Any]]:
        with (self.staging / "rows.jsonl").open("rb") as file:
            for row in rows:
                file.seek(int(self._lines[row]))
                yield json.loads(file.readline())

    def _skipped(self) -> list[dict[str, Any]]:
        return [e["skipped"] for e in self._entries(np.flatnonzero(self.status == SKIPPED))]

    def _write_index(self, rows: Array) -> tuple[Array, Array, dict[str, int]]:
        """Labels, splits, ids and captions in row order, from the journal; -> (labels, splits, sizes of the blobs)."""
        n = len(rows)
        labels, splits = np.empty(n, np.int64), np.empty(n, np.uint8)
        seen: dict[bytes, int] = {}
        ids, captions = bytearray(), bytearray()
        id_lengths, caption_lengths, caption_counts = [], [], []
        for k, entry in enumerate(self._entries(rows)):
            labels[k], splits[k] = entry["label"], SPLITS.index(entry["split"])
            raw = entry["id"].encode()
            if raw in seen:
                raise DataError(
                    f"two items have the id {entry['id']!r} (rows {rows[seen[raw]]} and {rows[k]})", where=self.path
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
            with (self._final / f"index.{name}.npy").open("wb") as file:
                file.write(npy_header(array.shape, array.dtype.name))
                file.write(array.tobytes())
        sizes = {"ids_bytes": len(ids), "captions": len(caption_lengths), "captions_bytes": len(captions)}
        return labels, splits, sizes

    def _check_classes(self, labels: Array) -> None:
        counts = np.bincount(labels[labels >= 0], minlength=len(self.classes))
        empty = [c for c, n in zip(self.classes, counts, strict=True) if n == 0]
        if empty:
            raise DataError(f"no item of class {', '.join(map(repr, empty[:5]))}", where=self.path, hint=_EMPTY)

    def _array(self, modality: Modality, rows: Array) -> Array:
        """The rows that stay, mapped: the staging file as it is, or, where rows were skipped, copied without gaps."""
        path = self.staging / f"{modality.name}.npy"
        source, _ = map_array(path, (self.capacity, *modality.shape), modality.dtype)
        if len(rows) == self.capacity:
            return source
        fresh = self._final / f"{modality.name}.npy"
        shape = (len(rows), *modality.shape)
        with fresh.open("wb") as file:
            file.write(npy_header(shape, modality.dtype))
            for block in _blocks(len(rows), source):
                file.write(np.take(source, rows[block], axis=0).tobytes())
        return map_array(fresh, shape, modality.dtype)[0]

    def _write_meta(self, modalities: Sequence[Modality], items: int, sizes: Mapping[str, int]) -> None:
        hashes, sampled = {}, {}
        for file, (shape, dtype) in array_plan(modalities, items, sizes).items():
            path = self._final / file if (self._final / file).exists() else self.staging / file
            _, offset = map_array(path, shape, dtype)
            hashes[file] = digest(path, offset)
            sampled[file] = digest(path, offset, sampled=True)
        meta: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "items": items,
            "sizes": dict(sizes),
            "modalities": [m.to_dict() for m in modalities],
            "classes": list(self.classes),
            "settings": self.settings,
            "skipped": self._skipped(),
            "hashes": hashes,
            "sampled": sampled,
            "data_hash": content_hash(modalities, self.classes, hashes),
        }
        meta = json.loads(json.dumps(meta))
        meta["seal"] = sha256(meta)
        _write_atomically(self._final / "store.json", json.dumps(meta, indent=1).encode())

    def _publish(self) -> PairedStore:
        """Move the last arrays over and rename the folder; what a kill leaves in between, the next attempt undoes."""
        self._close_files()
        for name in self.modalities:
            if not (self._final / f"{name}.npy").exists():
                (self.staging / f"{name}.npy").rename(self._final / f"{name}.npy")
        self._final.rename(self.path)
        shutil.rmtree(self.staging, ignore_errors=True)
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()
        return PairedStore.open(self.path, verify=False)

    def _close_files(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files = {}
        if self._journal is not None:
            self._journal.close()

    def close(self) -> None:
        """Let go of the staging folder; what is written stays for the next attempt."""
        self._close_files()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_EMPTY = "Every class needs an item: look at what was skipped, or leave the class out."


def _standardised(modality: Modality, array: Array, rows: Array) -> Modality:
    """The modality with mean and std per channel (vectors: one number) of ``rows``, in float64, block by block."""
    import torch

    channels = modality.shape[0] if modality.spatial else 1
    count, first, second = 0, np.zeros(channels), np.zeros(channels)
    reference = np.zeros(channels)
    for block in _blocks(len(rows), array):
        stored = torch.from_numpy(np.take(array, rows[block], axis=0))
        values = modality.physical(stored).double().numpy().reshape(len(stored), channels, -1)
        if count == 0:  # squares around a value of the data itself keep their digits
            reference = values.mean(axis=(0, 2))
        values -= reference[None, :, None]
        first += values.sum(axis=(0, 2))
        second += np.square(values).sum(axis=(0, 2))
        count += values.shape[0] * values.shape[2]
    shift = first / count
    std = np.sqrt(np.maximum(second / count - np.square(shift), 0))
    mean = tuple(float(v) for v in reference + shift)
    return modality.with_statistics(mean, tuple(float(v) if v > 1e-8 else 1.0 for v in std))


def standardised_by_default(modalities: Sequence[Modality]) -> list[str]:
    """Names of those whose mean and std come from the data; a spectrogram that keeps its decibels has none."""
    raw = [m.name for m in modalities if isinstance(m, Audio) and m.scale == "decibel"]
    return [m.name for m in modalities if m.kind in STANDARDISED and m.name not in raw]


def _blocks(rows: int, array: Array) -> Iterator[slice]:
    """Slices of about 16 MB of ``array``'s items."""
    step = max(1, (16 << 20) * len(array) // max(1, array.nbytes))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _write_atomically(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _lock(staging: Path) -> Any:
    """One writer at a time. The lock lies beside the staging folder, which may be thrown away and made anew."""
    import filelock

    staging.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(str(staging.with_name(staging.name + ".lock")))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise DataError(
            "another process is writing this store", where=staging, hint="Wait for it to finish."
        ) from error
    return lock
