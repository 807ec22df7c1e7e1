"""Which items a store will hold, in which order and split, and what identifies them before anything is decoded."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from limbeck.data.meta import SPLITS
from limbeck.data.rows import BadRow, Media, Reader, Row
from limbeck.data.settings import PrepareSettings
from limbeck.errors import DataError, nearest
from limbeck.files import canonical, digest_of
from limbeck.rng import key

__all__ = ["Listing", "SKIP_HINT", "list_rows"]


@dataclass(frozen=True)
class Listing:
    """Rows in the order of (split, class), each with its split, and the rows that make no item."""

    rows: list[Row]
    bad: list[BadRow]
    classes: tuple[str, ...]

    def fingerprint(self, base: Path) -> str:
        """SHA-256 of what the listing says of its items; paths relative to ``base``."""
        digest = hashlib.sha256()
        for r in self.rows:
            media = {n: _described(m, base) for n, m in r.media.items()}
            digest.update(canonical([r.id, r.label, r.split, r.captions, r.start, r.end, media]).encode() + b"\n")
        return digest.hexdigest()

    @cached_property
    def stamps(self) -> list[str]:
        """Of each row: what changes when somebody touches its files."""
        seen: dict[Path, Any] = {}
        for path in (m.path for r in self.rows for m in r.media.values()):
            if path not in seen:
                seen[path] = _state(path)
        return [digest_of([seen[m.path] for m in r.media.values()])[:16] for r in self.rows]


def _described(media: Media, base: Path) -> list[Any]:
    path = Path(os.path.relpath(media.path, base)).as_posix()
    return [media.kind, path, media.index, *([media.key] if media.key else [])]


def _state(path: Path) -> list[int] | None:
    """Size and time of change (nanoseconds) of a file; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def list_rows(source: Reader, settings: PrepareSettings, on_error: str) -> Listing:
    """The items and bad rows of a source.

    Raises DataError at the first fatal bad row under "error", for a class without items, and where nothing is listed.
    """
    rows: list[Row] = []
    bad: list[BadRow] = []
    first: dict[str, int] = {}
    for entry in source.rows():
        checked = entry
        if isinstance(entry, Row) and entry.id in first:
            reason = f"the id {entry.id!r} is that of row {first[entry.id]}, too"
            checked = BadRow(entry.id, entry.listing, entry.number, reason)
        if isinstance(checked, BadRow):
            if on_error == "error" and checked.fatal:
                raise DataError(checked.reason, where=f"{checked.listing}, row {checked.number}", hint=SKIP_HINT)
            bad.append(checked)
        else:
            first[checked.id] = checked.number
            rows.append(checked)
    classes = _classes(source, rows, settings)
    if settings.classes is not None:
        rows = [r for r in rows if r.label in classes]
    if not rows:
        hint = f"{len(bad)} rows are bad; the first: {bad[0].reason}" if bad else None
        raise DataError("lists no item", where=source.root, hint=hint)
    rows = _with_splits(rows, settings)
    order = {label: k for k, label in enumerate(classes)}
    rows.sort(key=lambda r: (SPLITS.index(r.split or "train"), order.get(r.label or "", -1)))
    return Listing(rows, bad, classes)


SKIP_HINT = "Mend it, or leave such items out with --on-error skip."


def _classes(source: Reader, rows: Sequence[Row], settings: PrepareSettings) -> tuple[str, ...]:
    found = {r.label for r in rows if r.label is not None}
    if settings.classes is not None:
        for name in settings.classes:
            if name not in found:
                raise DataError(f"no item of class {name!r}", where=source.root, hint=nearest(name, found))
        return settings.classes
    known = source.classes()
    ordered = [c for c in known or () if c in found]
    return (*ordered, *sorted(found - set(ordered)))


def _with_splits(rows: Sequence[Row], settings: PrepareSettings) -> list[Row]:
    """Every row with a split; splits the source lacks are taken from train, class by class, whole groups at a time."""
    have = {r.split for r in rows}
    wanted = [(s, getattr(settings, s)) for s in ("test", "validation") if s not in have and getattr(settings, s) > 0]
    members: dict[str, dict[str, None]] = {}
    placed: set[str] = set()
    for row in rows:
        group = row.group or row.id
        if row.split in (None, "train") and group not in placed:
            placed.add(group)
            members.setdefault(row.label or "", {})[group] = None
    moved: dict[str, str] = {}
    for groups in members.values():
        drawn = sorted(groups, key=lambda g: (key(settings.split_seed, "split", g), g))
        start = 0
        for split, fraction in wanted:
            count = round(fraction * len(groups))
            moved.update(dict.fromkeys(drawn[start : start + count], split))
            start += count
    return [
        dataclasses.replace(r, split=moved.get(r.group or r.id, "train") if r.split in (None, "train") else r.split)
        for r in rows
    ]
