"""Clotho's layout: sounds of 15 to 30 seconds with up to five captions each, one CSV and one folder a split.

The CSVs are ``clotho_captions_{development,validation,evaluation}.csv``: ``file_name,caption_1,...,caption_5``. Version
1 has 2893 + 1045 sounds and no validation, version 2 has 3839 + 1045 + 1045. ``captions_{train,val,test}.csv`` of the
same columns are read alike, and so are clips with pictures.

One window is taken from the middle of each sound (``window`` seconds; silence follows a sound that is shorter):
``window=30`` takes every sound whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from limbeck.data.rows import BadRow, Media, Reader, Row, inside, names_in, plain_name, read_table, reason
from limbeck.errors import DataError

__all__ = ["Clotho"]

LISTING = re.compile(r"(?:clotho_)?captions_([a-z]+)\.csv")
CAPTION = re.compile(r"caption_[1-9]")
WORDS = {
    "train": {"development", "dev", "train", "training"},
    "validation": {"validation", "valid", "val"},
    "test": {"evaluation", "eval", "test"},
}
"""What a split is called in the names of listings and folders. ``dev`` is Clotho's for training."""
SOUND_ONLY = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff")


@dataclass(frozen=True)
class _Line:
    """A line of a listing; no captions: None where it has other cells than the first line."""

    number: int
    file: str
    captions: tuple[str, ...] | None


class Clotho(Reader):
    """Sound and captions; the frame in the middle of the window, too, where ``modalities`` asks for ``image``."""

    name = "clotho"
    description = "Clotho and sets in its layout (file_name,caption_1..caption_5 csv + folders of sounds or clips)"
    options = ("csv", "clips")

    @property
    def offers(self) -> tuple[str, ...]:
        asked = "image" in (self.settings.modalities or ())
        return ("image", "audio", "text") if asked and self._pictured else ("audio", "text")

    @property
    def base(self) -> Path:
        """The folder that everything is relative to."""
        return self.root if self.root.is_dir() else self.root.parent

    @cached_property
    def listings(self) -> list[tuple[Path, str | None]]:
        """(csv, its split) in the order of splits. Raises DataError where there is none, or one of no known split."""
        if self.root.is_file():
            return [(self.root, _split_of(self.root))]
        if self.settings.csv is not None:
            chosen = inside(self.root, self.settings.csv, allow_outside=self.settings.allow_outside)
            if not chosen.is_file():
                raise DataError("no such listing", where=chosen)
            return [(chosen, _split_of(chosen))]
        found = [(p, _split_of(p)) for p in sorted(self.root.glob("*captions_*.csv")) if LISTING.fullmatch(p.name)]
        if not found:
            hint = "It needs clotho_captions_development.csv or captions_train.csv; or say which with --csv."
            raise DataError("no captions are here", where=self.root, hint=hint)
        return sorted(found, key=lambda pair: list(WORDS).index(pair[1] or "train"))

    @cached_property
    def _pictured(self) -> bool:
        """Whether the media are clips with pictures, by the ending of the first."""
        first = next((line for listing, _ in self.listings for line in _lines(listing)), None)
        return first is not None and PurePath(first.file).suffix.lower() not in SOUND_ONLY

    def rows(self) -> Iterator[Row | BadRow]:
        kinds = {"audio": "audio", **({"image": "video"} if "image" in self.offers else {})}
        stems: dict[str, Path] = {}
        for listing, split in self.listings:
            where = _Finder(self._folders(split))
            for line in _lines(listing):
                name = PurePath(line.file).stem
                if stems.setdefault(name, listing) != listing:  # another sound of this name
                    name = f"{name} ({split or 'train'})"
                try:
                    if line.captions is None:
                        raise DataError("has other cells than the first line")
                    if not line.captions:
                        raise DataError("has no caption")
                    path = where.find(plain_name(line.file, "file"))
                    media = {modality: Media(kind, path) for modality, kind in kinds.items()}
                    yield Row(name, listing.name, line.number, media, None, split, line.captions)
                except DataError as error:
                    yield BadRow(name, listing.name, line.number, reason(error))

    def _folders(self, split: str | None) -> list[Path]:
        """Where the sounds of a split may lie: the root (or ``clips``) and two levels of folders below, first those
        that are named after the split, never those that are named after another."""
        base = self.base
        if self.settings.clips is not None:
            base = base / self.settings.clips
            if not base.is_dir():
                raise DataError("no such folder of sounds", where=base)
        others = set().union(*(words for name, words in WORDS.items() if name != split)) if split else set()
        own = WORDS[split] if split else set()
        found = [base, *(p for pattern in ("*", "*/*") for p in sorted(base.glob(pattern)) if p.is_dir())]
        said = {p: set(re.split(r"[^a-z]+", p.relative_to(base).as_posix().lower())) for p in found}
        return sorted((p for p in found if not said[p] & others), key=lambda p: not said[p] & own)


def _split_of(listing: Path) -> str | None:
    """The split in a listing's name; None where the name is not of the known form."""
    found = LISTING.fullmatch(listing.name)
    if found is None:
        return None
    split = next((name for name, words in WORDS.items() if found[1] in words), None)
    if split is None:
        hint = "Known: development, validation, evaluation, train, val, test."
        raise DataError(f"unknown split {found[1]!r}", where=listing, hint=hint)
    return split


def _lines(listing: Path) -> Iterator[_Line]:
    """Every line after the first. Raises DataError on another first line."""
    table = read_table(listing)
    _, header = next(table, (0, []))
    captions = [k for k, name in enumerate(header) if CAPTION.fullmatch(name)]
    if "file_name" not in header or not captions:
        raise DataError("its first line must be file_name,caption_1,...,caption_5", where=listing)
    file = header.index("file_name")
    for number, cells in table:
        if len(cells) != len(header):
            yield _Line(number, cells[0], None)
        else:
            yield _Line(number, cells[file], tuple(cells[k] for k in captions if cells[k]))


class _Finder:
    """Files by name in some folders; each folder is read once."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self._names: dict[Path, Mapping[str, str]] = {}

    def find(self, name: str) -> Path:
        """Raises DataError where the file is in none of them."""
        for folder in self.folders:
            present = self._present(folder)
            if name in present:
                return folder / present[name]
        raise DataError(f"the file {name} is not here")

    def _present(self, folder: Path) -> Mapping[str, str]:
        if folder not in self._names:  # names may begin or end with a space, which tables lose
            self._names[folder] = {name.strip(): name for name in names_in(folder)}
        return self._names[folder]
