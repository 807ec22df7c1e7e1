"""The files in which captions of pictures are published, each read into the same entries.

| form | what an entry of it is |
|---|---|
| Karpathy's JSON | ``{"images": [{"filename", "split", "sentences": [{"raw"}]}]}``, of COCO a ``filepath`` too |
| lists of BLIP and LoRS | ``[{"image", "caption"}]``: one caption in each entry, or all of a picture as a list |
| COCO's own | ``{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`` |
| tables | ``image,caption`` (Kaggle's captions.txt) or ``image_name| comment_number| comment`` (its results.csv) |
| token files | ``<image>#<number><tab><caption>`` |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.data.rows import BadRow, read_table, reason, split_name
from limbeck.errors import DataError

__all__ = ["Entry", "plain_lines", "read_captions"]

_IMAGE, _CAPTION = ("image", "image_name", "filename"), ("caption", "comment")
_NUMBERED = re.compile(r"\d+\s+")
"""One row of Flickr30k's results.csv has no bar between its number and its caption."""


@dataclass(frozen=True)
class Entry:
    """Captions of one picture, of which other entries may hold more. ``image``: a path, or a bare file name."""

    image: str
    captions: tuple[str, ...]
    split: str | None
    listing: Path
    number: int


def read_captions(path: Path, split: str | None = None) -> Iterator[Entry | BadRow]:
    """Every entry of a file of any form, in order; ``split``: of those that do not name their own.

    ``number`` counts a table's lines, and the elements of a JSON list, from 1. Raises DataError that names the file
    where it has none of these forms.
    """
    if path.suffix.lower() == ".json":
        yield from _json_entries(path, _load(path), split)
    elif path.suffix.lower() == ".token" or path.name.lower().endswith(".token.txt"):
        yield from _token_entries(path, split)
    else:
        yield from _table_entries(path, split)


def plain_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, text) of each line that is not blank. Raises DataError that names the file."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=path) from error


# -- JSON --------------------------------------------------------------------------------------------------------------


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"is not readable as JSON: {error}", where=path) from error


def _json_entries(path: Path, data: Any, split: str | None) -> Iterator[Entry | BadRow]:
    official = isinstance(data, dict) and isinstance(data.get("annotations"), list)
    entries = data.get("annotations" if official else "images") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        what = "is neither Karpathy's JSON ('images'), nor COCO's ('annotations'), nor a list of captions"
        raise DataError(what, where=path)
    names = _official_names(path, data) if official else {}
    for number, entry in enumerate(entries, 1):
        name = f"{number:06d}"
        try:
            if not isinstance(entry, dict):
                raise DataError("is not a JSON object")
            if official:
                image, captions, own = _official_name(names, entry), [entry.get("caption")], None
            elif isinstance(data, dict):
                image, captions, own = _karpathy(entry)
            else:
                image, found, own = _word("image", entry.get("image")), entry.get("caption"), entry.get("split")
                captions = found if isinstance(found, list) else [found]
            name = image
            texts = tuple(_word("caption", caption) for caption in captions)
            yield Entry(image, texts, _split(own) if own is not None else split, path, number)
        except DataError as error:
            yield BadRow(name, path.name, number, reason(error))


def _karpathy(entry: Mapping[str, Any]) -> tuple[str, list[Any], Any]:
    image, folder = _word("filename", entry.get("filename")), entry.get("filepath")
    sentences = entry.get("sentences")
    if not isinstance(sentences, list) or not all(isinstance(s, dict) for s in sentences):
        raise DataError("has no list 'sentences'")
    if "split" not in entry:
        raise DataError("has no 'split'")
    path = f"{_word('filepath', folder)}/{image}" if folder else image
    return path, [s.get("raw") for s in sentences], entry["split"]


def _split(text: Any) -> str:
    """``restval`` is the part of COCO's validation pictures that Karpathy's split trains on."""
    return "train" if text == "restval" else split_name(_word("split", text))


def _official_names(path: Path, data: Mapping[str, Any]) -> dict[Any, Any]:
    images = data.get("images")
    if not isinstance(images, list) or not all(isinstance(i, dict) and _plain(i.get("id")) for i in images):
        raise DataError("has 'annotations' but no list 'images' with an id each", where=path)
    return {image["id"]: image.get("file_name") for image in images}


def _official_name(names: Mapping[Any, Any], entry: Mapping[str, Any]) -> str:
    number = entry.get("image_id")
    if not _plain(number) or number not in names:
        raise DataError(f"the image_id {number!r} is that of no image")
    return _word("file_name", names[number])


def _plain(value: object) -> bool:
    return isinstance(value, int | str)


def _word(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"{what} is {value!r}, not a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what} is {value!r}, which is not valid Unicode") from error
    return value


# -- text --------------------------------------------------------------------------------------------------------------


def _token_entries(path: Path, split: str | None) -> Iterator[Entry | BadRow]:
    for number, line in plain_lines(path):
        head, tab, caption = line.partition("\t")
        image, mark, _ = head.rpartition("#")
        if tab and mark and image:
            yield Entry(image, (caption,), split, path, number)
        else:
            yield BadRow(head[:40], path.name, number, "is not <image>#<number><tab><caption>")


def _table_entries(path: Path, split: str | None) -> Iterator[Entry | BadRow]:
    first = next(plain_lines(path), (0, ""))[1]
    bars = "|" in first
    table = read_table(path, delimiter="|" if bars else ",", quoted=not bars)
    _, header = next(table, (0, []))
    image = next((header.index(name) for name in _IMAGE if name in header), None)
    caption = next((header.index(name) for name in _CAPTION if name in header), None)
    if image is None or caption is None:
        hint = "Known are image,caption, image_name| comment_number| comment, and <image>#<number><tab><caption>."
        raise DataError("its first line names no column of images and of captions", where=path, hint=hint)
    for number, cells in table:
        if bars and len(cells) == len(header) - 1 and _NUMBERED.match(cells[-1]):
            cells = [*cells[:-1], *_NUMBERED.split(cells[-1], maxsplit=1)]
        if len(cells) != len(header):
            yield BadRow(cells[0], path.name, number, f"has {len(cells)} cells, the first line has {len(header)}")
        else:
            yield Entry(cells[image], (cells[caption],), split, path, number)
