"""What a reader hands to prepare: rows that say where an item's media are, before anything is decoded."""

from __future__ import annotations

import csv
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from limbeck.data.settings import PrepareSettings
from limbeck.errors import ConfigError, DataError, nearest

__all__ = [
    "BadRow",
    "Media",
    "Pictures",
    "Reader",
    "Row",
    "clips_folder",
    "find_clip",
    "find_listing",
    "inside",
    "missing",
    "names_in",
    "plain_name",
    "read_table",
    "reason",
    "seconds",
    "split_name",
]

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class Media:
    """One file of an item. ``kind``: video, audio, image, depth (``key`` "rotated": SUN RGB-D's bits), feature, idx
    (picture ``index`` of MNIST's), tensor or hdf5 (row ``index`` of what a .pt or .mat file holds under ``key``)."""

    kind: str
    path: Path
    index: int = 0
    key: str = ""


@dataclass(frozen=True)
class Pictures:
    """How a source's papers make numbers of pictures: ``mean`` and ``std`` of each channel, and the ``filter`` that
    they are resized with, "bilinear" or "bicubic"."""

    mean: tuple[float, ...] = (0.425, 0.396, 0.370)
    std: tuple[float, ...] = (0.229, 0.224, 0.221)
    filter: str = "bilinear"

    @classmethod
    def clip(cls) -> Pictures:
        """CLIP's constants, which the image-text papers use for every network, and their bicubic filter."""
        return cls(CLIP_MEAN, CLIP_STD, "bicubic")


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Row:
    """One item of a listing.

    ``start`` and ``end`` (seconds) bound the event that the window is centred on. ``group``: items that must stay in
    one split (windows of one video). ``begin``: windows of one video with the same ``begin``, in ascending order,
    are decoded in one pass from there (seconds); None: by itself. ``listing`` and ``number``: where a person finds it.
    """

    id: str
    listing: str
    number: int
    media: Mapping[str, Media]
    label: str | None = None
    split: str | None = None
    captions: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    group: str = field(default="")
    begin: float | None = None


@dataclass(frozen=True)
class BadRow:
    """A row of a listing that makes no item.

    ``fatal``: stops preparing unless bad items are to be skipped. What a benchmark's users cannot help (a video that
    is no longer to be had, one that the papers leave out) is only listed among the skipped.
    """

    id: str
    listing: str
    number: int
    reason: str
    fatal: bool = True


class Reader(ABC):
    """Knows one layout of files. Subclasses yield rows and decode nothing."""

    name: ClassVar[str]
    description: ClassVar[str]
    """One line for ``limbeck datasets``."""
    options: ClassVar[tuple[str, ...]] = ()
    """Which of the settings ``csv`` and ``clips`` mean something to it."""
    pictures: ClassVar[Pictures] = Pictures()
    text_is_label: ClassVar[bool] = False
    """Captions are the names of classes: who reads the text reads the label. The store's settings say so."""

    def __init__(self, root: Path, settings: PrepareSettings) -> None:
        self.root, self.settings = root, settings
        for option in ("csv", "clips"):
            if getattr(settings, option) is not None and option not in self.options:
                raise ConfigError(f"the reader {self.name!r} has no such option", where=option)
        if not root.exists():
            raise DataError("no such file or folder", where=root)

    @property
    @abstractmethod
    def offers(self) -> tuple[str, ...]:
        """Names of the modalities the source has."""

    def classes(self) -> Sequence[str] | None:
        """Class names in the source's own order; None: alphabetical."""
        return None

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of modalities that the source decides, whatever the settings say."""
        return {}

    @abstractmethod
    def rows(self) -> Iterator[Row | BadRow]:
        """Every row of the listing, in order. Raises DataError where the listing itself cannot be read."""


def reason(error: DataError) -> str:
    """What went wrong, in one line."""
    return error.what if error.hint is None else f"{error.what}. {error.hint}"


def split_name(text: str) -> str:
    """train, validation or test, from the spellings in use. Raises DataError."""
    name = _SPLITS.get(text.strip().lower())
    if name is None:
        raise DataError(f"unknown split {text!r}", hint=nearest(text, _SPLITS))
    return name


def seconds(text: object, what: str) -> float | None:
    """A time in seconds; None for an empty cell. Raises DataError."""
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(text, bool) or not math.isfinite(value) or value < 0:
        raise DataError(f"{what} is {text!r}, not a time in seconds")
    return value


def inside(base: Path, name: str, *, allow_outside: bool = False) -> Path:
    """``base / name``, which must not lead out of ``base``: by dots, absolute, along a link. Raises DataError."""
    if not name or "\0" in name:
        raise DataError("an empty or impossible path")
    path = base / name
    if not allow_outside:
        try:
            path.resolve().relative_to(base.resolve())
        except (ValueError, OSError, RuntimeError) as error:
            hint = "If that is meant, set allow_outside."
            raise DataError(f"the path {name!r} leads out of {base.name or base}", hint=hint) from error
    return path


def read_table(path: Path, *, delimiter: str = ",", quoted: bool = True) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row that is not blank. Raises DataError that names the file and line."""
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
            table = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=quoted)
            for cells in table:
                line = table.line_num
                if any(cell.strip() for cell in cells):
                    yield line, [cell.strip() for cell in cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot be read after line {line}: {what}", where=path) from error


def find_listing(root: Path, settings: PrepareSettings, known: Sequence[str], pattern: str) -> Path:
    """The listing inside ``root``: the ``csv`` setting, one of the ``known`` names, or the only file of ``pattern``."""
    if root.is_file():
        return root
    if settings.csv is not None:
        chosen = inside(root, settings.csv, allow_outside=settings.allow_outside)
        if not chosen.is_file():
            names = sorted(p.name for p in root.glob(pattern))
            raise DataError("no such listing", where=chosen, hint=nearest(settings.csv, names) if names else None)
        return chosen
    for name in known:
        if (root / name).is_file():
            return root / name
    found = sorted(root.glob(pattern))
    if len(found) == 1:
        return found[0]
    hint = "Say which with --csv (csv=...), relative to the root."
    if not found:
        raise DataError(f"no listing is here ({' or '.join(known)})", where=root, hint=hint)
    raise DataError(f"which listing? Found {', '.join(p.name for p in found)}", where=root, hint=hint)


def clips_folder(root: Path, settings: PrepareSettings, known: Sequence[str]) -> Path:
    """The folder of the media: the ``clips`` setting (anywhere: the user said so), a known name, or the root."""
    base = root if root.is_dir() else root.parent
    if settings.clips is not None:
        folder = base / settings.clips
        if not folder.is_dir():
            raise DataError("no such folder of clips", where=folder)
        return folder
    return next((base / name for name in known if (base / name).is_dir()), base)


def find_clip(folder: Path, present: set[str], stems: Sequence[str]) -> Path | None:
    """The file of the first stem that is there, of any usual ending; None where there is none."""
    for stem in stems:
        for ending in (".mp4", ".mkv", ".webm", ".avi", ".mov", ".mpg", ".m4v"):
            if stem + ending in present:
                return folder / (stem + ending)
    return None


def missing(name: str, listing: Path, number: int, folder: Path) -> BadRow:
    """The row of a video that is not in the folder of clips: listed as skipped, as videos vanish from the web."""
    return BadRow(name, listing.name, number, f"the video {name} is not in {folder.name}", fatal=False)


def plain_name(name: str, what: str) -> str:
    """``name``, which becomes part of a file's name. Raises DataError where it would lead out of a folder."""
    if not name or "/" in name or "\\" in name or "\0" in name or name.startswith("."):
        raise DataError(f"the {what} {name!r} leads out of the folder of clips")
    return name


def names_in(folder: Path) -> set[str]:
    """File names of a folder, read once: half a million look-ups would take minutes on a network disk."""
    return {entry.name for entry in os.scandir(folder)}
