"""The user's own data: a CSV or JSONL file that names the media of each item.

| column | what |
|---|---|
| ``id`` | a name of the item's own; without it, its line number |
| ``video`` | a clip: one frame becomes ``image``, its sound ``audio`` |
| ``image``, ``audio``, ``depth`` | a picture, a sound file, a 16-bit depth map (they take the place of the video's) |
| ``feature`` | a ``.npy`` vector |
| ``text``, ``caption``, ``caption_1``, ``caption_2`` ... | captions (a JSON list is fine too); become ``text`` |
| ``label`` | the class's name |
| ``split`` | train, validation or test |
| ``start``, ``end`` | seconds: the window is centred between them |

Paths are relative to the manifest and must not lead out of its folder unless ``allow_outside`` is set.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from limbeck.data.rows import BadRow, Media, Reader, Row, find_listing, inside, read_table, reason, seconds, split_name
from limbeck.errors import DataError, nearest

__all__ = ["Manifest"]

MEDIA = ("video", "image", "audio", "depth", "feature")
COLUMNS = ("id", *MEDIA, "text", "caption", "label", "split", "start", "end")
_CAPTION = re.compile(r"caption_\d+")


class Manifest(Reader):
    """See the module."""

    name = "manifest"
    description = "your own data: a CSV or JSONL of video, image, audio, depth, text, feature, label, split, start, end"
    options = ("csv",)

    @cached_property
    def path(self) -> Path:
        """The manifest: the root itself, or the one inside it."""
        return find_listing(self.root, self.settings, ("manifest.csv", "manifest.jsonl"), "*.[cj]s[vo]*")

    @cached_property
    def _filled(self) -> frozenset[str]:
        """The columns in which some row holds something: each row must then hold it."""
        found: set[str] = set()
        for _, cells in self._records():
            if isinstance(cells, dict):
                found.update(name for name, value in cells.items() if not _empty(value))
        if not found & {*MEDIA, "text"} and not any(n.startswith("caption") for n in found):
            hint = "It needs a column of media: video, image, audio, depth, feature, text or caption."
            raise DataError("names no media", where=self.path, hint=hint)
        return frozenset(found)

    @property
    def offers(self) -> tuple[str, ...]:
        names = []
        if self._filled & {"image", "video"}:
            names.append("image")
        if self._filled & {"audio", "video"}:
            names.append("audio")
        names += [name for name in ("depth", "feature") if name in self._filled]
        if any(n == "text" or n.startswith("caption") for n in self._filled):
            names.append("text")
        return tuple(names)

    def _records(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """(line number, cells by column, or what is wrong with the line)."""
        if self.path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
            yield from self._json_lines()
            return
        table = read_table(self.path, delimiter="\t" if self.path.suffix.lower() == ".tsv" else ",")
        _, header = next(table, (0, []))
        if len(set(header)) != len(header):
            raise DataError("two columns have the same name", where=f"{self.path}, line 1")
        self._check_columns(header, 1)
        for number, cells in table:
            if len(cells) != len(header):
                yield number, f"has {len(cells)} cells, the first line has {len(header)}"
            else:
                yield number, dict(zip(header, cells, strict=True))

    def _json_lines(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    try:
                        cells = json.loads(line)
                    except (ValueError, RecursionError) as error:
                        yield number, f"is not JSON: {error}"
                        continue
                    if not isinstance(cells, dict):
                        yield number, "is not a JSON object"
                        continue
                    self._check_columns(cells, number)
                    yield number, cells
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=self.path) from error

    def _check_columns(self, names: Mapping[str, Any] | list[str], line: int) -> None:
        for name in names:
            if name not in COLUMNS and not _CAPTION.fullmatch(name):
                raise DataError(
                    f"unknown column {name!r}", where=f"{self.path}, line {line}", hint=nearest(name, COLUMNS)
                )

    def rows(self) -> Iterator[Row | BadRow]:
        """Rows that share a file, directly or through others, are one group: they must not be split apart."""
        entries = list(self._entries())
        rows = [entry for entry in entries if isinstance(entry, Row)]
        groups = iter(_groups([{os.path.realpath(m.path) for m in row.media.values()} for row in rows]))
        for entry in entries:
            yield dataclasses.replace(entry, group=rows[next(groups)].id) if isinstance(entry, Row) else entry

    def _entries(self) -> Iterator[Row | BadRow]:
        filled = self._filled  # raises here, once, where the whole manifest is wrong
        for number, cells in self._records():
            name = f"{number:06d}"
            if isinstance(cells, str):
                yield BadRow(name, self.path.name, number, cells)
                continue
            try:
                if not _empty(cells.get("id")):
                    name = _word("id", cells["id"])
                yield self._row(name, number, cells, filled)
            except DataError as error:
                yield BadRow(name, self.path.name, number, reason(error))

    def _row(self, name: str, number: int, cells: Mapping[str, Any], filled: frozenset[str]) -> Row:
        optional = {"id", "start", "end", *(n for n in filled if _CAPTION.fullmatch(n))}
        for column in sorted(filled - optional):
            if _empty(cells.get(column)):
                raise DataError(f"has nothing in the column {column!r}")
        media = {column: self._media(column, cells[column]) for column in MEDIA if column in filled}
        video = media.pop("video", None)
        if video is not None:
            media = {"image": video, "audio": video, **media}
        captions = _captions(cells)
        if "text" in self.offers and not captions:
            raise DataError("has no caption")
        start, end = seconds(cells.get("start"), "start"), seconds(cells.get("end"), "end")
        if start is not None and end is not None and not end > start:
            raise DataError(f"ends ({end} s) before it starts ({start} s)")
        label = _word("label", cells["label"]) if "label" in filled else None
        split = split_name(_word("split", cells["split"])) if "split" in filled else None
        return Row(name, self.path.name, number, media, label, split, captions, start, end)

    def _media(self, column: str, value: object) -> Media:
        if not isinstance(value, str):
            raise DataError(f"{column} is {value!r}, not a path")
        return Media(column, inside(self.path.parent, _word(column, value), allow_outside=self.settings.allow_outside))


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def _word(column: str, value: object) -> str:
    """A cell as text. Raises DataError on what is no text or number, and on half a character."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{column} is {value!r}, not a text or a number")
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{column} is {value!r}, which is not valid Unicode") from error
    return str(value)


def _groups(members: Sequence[set[str]]) -> list[int]:
    """Of each row, the first row that it is connected with by files in common (union-find)."""
    parents = list(range(len(members)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    owner: dict[str, int] = {}
    for row, files in enumerate(members):
        for file in files:
            one, other = sorted((root(owner.setdefault(file, row)), root(row)))
            parents[other] = one
    return [root(row) for row in range(len(members))]


def _captions(cells: Mapping[str, Any]) -> tuple[str, ...]:
    """The captions of a row, in the order of their columns."""
    found: list[str] = []
    numbered = sorted((n for n in cells if _CAPTION.fullmatch(n)), key=lambda n: int(n[8:]))
    for column in ("text", "caption", *numbered):
        value = cells.get(column)
        if isinstance(value, str) and value.startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                value = [value]  # a caption that happens to begin with a bracket
        if _empty(value):
            continue
        values = value if isinstance(value, list) else [value]
        for caption in values:
            if _empty(caption):
                raise DataError(f"{column} holds {caption!r}, not a caption")
            found.append(_word(column, caption).strip())
    return tuple(found)
