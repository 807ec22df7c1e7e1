"""Writing a store so that a killed preparation goes on where it stopped.

Items land in ``<path>.partial``; each finished row is one line of its journal, with a checksum of the row's bytes.
``finish`` drops what was skipped, computes normalisation, hashes, and renames the folder into place, so that nothing
half-written ever bears the store's name.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from limbeck.data.arrays import digest, map_array
from limbeck.data.columns import Columns
from limbeck.data.index import write_index, write_vectors
from limbeck.data.journal import DONE, SKIPPED, TODO, Journal
from limbeck.data.lock import lock_file, locked
from limbeck.data.meta import CAPTION_VECTORS, FORMAT, NAME, SPLITS, VERSION, array_plan, write_meta
from limbeck.data.statistics import standardised, standardised_by_default
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError, FormatError, ResumeError, nearest
from limbeck.files import read_json, write_json, writing_to
from limbeck.modalities import Modality

__all__ = ["StoreWriter"]

Array = np.ndarray[Any, Any]


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
        ConfigError: the path exists already or cannot be written to, or names do not fit.
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
        self._final = self.staging / "store"
        with writing_to(self.path), ExitStack() as files:
            files.enter_context(locked(self.staging))
            self._check_arguments(modalities)
            if not resume:
                shutil.rmtree(self.staging, ignore_errors=True)
            self._take_up(files)
            self._open_files = files.pop_all()

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
        try:
            "".join(self.classes).encode()
        except UnicodeEncodeError as error:
            raise DataError("a class's name is not valid Unicode", where=self.path) from error
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError("two classes have the same name", where=self.path)

    # -- taking up a staging folder ------------------------------------------------------------------------------

    def _take_up(self, files: ExitStack) -> None:
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
            shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir()
        else:
            self._same_plan(file, plan)
            self._undo_finish()
        self._columns = files.enter_context(closing(Columns(self.staging, self.modalities, self.capacity, fresh=fresh)))
        write_json(file, plan)
        journal = Journal(self.staging / "rows.jsonl", self.capacity, self._columns.checksum)
        self._journal = files.enter_context(closing(journal))

    def _same_plan(self, file: Path, plan: Mapping[str, Any]) -> None:
        try:
            old = read_json(file)
        except FormatError:
            old = {}
        changed = [k for k in plan if plan[k] != old.get(k)]
        if changed:
            names = changed
            if "settings" in changed:  # what people set says more than what follows from it
                before, now = old.get("settings", {}), plan["settings"]
                names = [k for k in {**before, **now} if before.get(k) != now.get(k)]
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

    # -- writing -------------------------------------------------------------------------------------------------

    def done(self, row: int, stamp: str = "") -> bool:
        """Whether the row was written or skipped with this ``stamp``, now or before an interruption."""
        return self._journal.done(row, stamp)

    def write(
        self,
        row: int,
        *,
        id: str,
        arrays: Mapping[str, Array],
        split: str = "train",
        label: int | None = None,
        captions: Sequence[str] = (),
        stamp: str = "",
    ) -> None:
        """Write one item. ``arrays``: modality -> array of its shape and stored type; ``stamp``: names the state of
        what it was made from, for :meth:`done`.

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
        entry = {"id": id, "label": number, "split": split, "sum": self._columns.write(row, arrays, where)}
        self._journal.note(row, DONE, {**entry, "stamp": stamp, "captions": list(captions)})

    def skip(
        self,
        row: int,
        *,
        id: str,
        reason: str,
        file: str | None = None,
        source_row: int | None = None,
        stamp: str = "",
    ) -> None:
        """Leave a row out; it is counted and listed in the store as {id, row, file, reason}."""
        listed = {"id": id, "row": row if source_row is None else source_row, "file": file, "reason": reason}
        self._journal.note(row, SKIPPED, {"skipped": listed, "stamp": stamp})

    def redo_skipped(self) -> None:
        """Rows that an earlier attempt skipped are to be written after all."""
        self._journal.forget_skipped()

    # -- finishing -----------------------------------------------------------------------------------------------

    def finish(
        self, *, standardise: Collection[str] | None = None, sources: Mapping[str, Any] | None = None,
        caption_vectors: Iterable[Array] | None = None,
    ) -> PairedStore:  # fmt: skip
        """Turn the staging folder into the store and open it.

        Args:
            standardise: modalities whose mean and std (per channel; one number for vectors) are computed on the train
                split, or on everything where there is none. None: kinds audio (of scale standard), depth and feature.
            sources: joins the settings: what may change until the store is finished, such as the files' times.
            caption_vectors: blocks of (n, D), what all captions embed as, in the order of the items that stay.

        Raises DataError where rows are missing, ids repeat, a class has no item, or nothing is left.
        """
        missing = int(np.sum(self._journal.status == TODO))
        if missing:
            raise DataError(f"{missing} of {self.capacity} rows are neither written nor skipped", where=self.staging)
        rows = np.flatnonzero(self._journal.status == DONE)
        if not len(rows):
            reason = self._journal.skipped()[0]["reason"]
            raise DataError("every item was skipped", where=self.path, hint=f"First reason: {reason}")
        shutil.rmtree(self._final, ignore_errors=True)
        self._final.mkdir()
        labels, splits, sizes = write_index(self._final, self._journal, rows)
        self._check_classes(labels)
        if caption_vectors is not None:
            sizes["captions_width"] = write_vectors(self._final / CAPTION_VECTORS, sizes["captions"], caption_vectors)
        arrays = {m.name: self._columns.without_gaps(m, rows, self._final) for m in self.modalities.values()}
        if standardise is None:
            standardise = standardised_by_default(list(self.modalities.values()))
        train = splits == SPLITS.index("train")
        used = np.flatnonzero(train) if train.any() else np.arange(len(rows))
        modalities = [
            standardised(m, arrays[m.name], used) if m.name in standardise else m for m in self.modalities.values()
        ]
        self._write_meta(modalities, len(rows), sizes, {**self.settings, **(sources or {})})
        return self._publish()

    def _check_classes(self, labels: Array) -> None:
        counts = np.bincount(labels[labels >= 0], minlength=len(self.classes))
        empty = [c for c, n in zip(self.classes, counts, strict=True) if n == 0]
        if empty:
            raise DataError(f"no item of class {', '.join(map(repr, empty[:5]))}", where=self.path, hint=_EMPTY)

    def _write_meta(
        self, modalities: Sequence[Modality], items: int, sizes: Mapping[str, int], settings: Mapping[str, Any]
    ) -> None:
        hashes, sampled = {}, {}
        for file, (shape, dtype) in array_plan(modalities, items, sizes).items():
            path = self._final / file if (self._final / file).exists() else self.staging / file
            _, offset = map_array(path, shape, dtype)
            hashes[file] = digest(path, offset)
            sampled[file] = digest(path, offset, sampled=True)
        write_meta(
            self._final / "store.json",
            modalities,
            hashes,
            sampled,
            name=self.name,
            items=items,
            sizes=dict(sizes),
            classes=list(self.classes),
            settings=dict(settings),
            skipped=self._journal.skipped(),
        )

    def _publish(self) -> PairedStore:
        """Move the last arrays over and rename the folder; what a kill leaves in between, the next attempt undoes."""
        for name in self.modalities:
            if not (self._final / f"{name}.npy").exists():
                (self.staging / f"{name}.npy").rename(self._final / f"{name}.npy")
        self._final.rename(self.path)
        shutil.rmtree(self.staging, ignore_errors=True)
        lock_file(self.staging).unlink(missing_ok=True)
        self.close()
        return PairedStore.open(self.path, verify=False)

    def close(self) -> None:
        """Let go of the staging folder; what is written stays for the next attempt."""
        self._open_files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_EMPTY = "Every class needs an item: look at what was skipped, or leave the class out."
