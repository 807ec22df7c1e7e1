"""Pictures with captions: what the readers of Flickr8k, Flickr30k and COCO share.

Whatever layout says so, a picture is one item: its id is its file's name without ending, and its captions, in the
order of the file and as they stand there, travel with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar

from limbeck.data.readers.caption_files import Entry, plain_lines, read_captions
from limbeck.data.rows import BadRow, Media, Pictures, Reader, Row, inside, names_in, reason
from limbeck.errors import DataError

__all__ = ["CaptionedPictures"]

LISTS = ("", "ann_file", "annotations", "annotation")
"""Where the lists may lie inside the root."""
SPLITS = ("train", "val", "test")


@dataclass
class _Picture:
    """What the entries of one picture say together."""

    first: Entry
    captions: list[str] = field(default_factory=list)


class CaptionedPictures(Reader):
    """One picture and its captions an item, no classes.

    The first layout that is there counts: Karpathy's JSON, the lists of BLIP and LoRS, COCO's own, a table or token
    file with the official split lists. ``csv`` names another: a file, or the folder of the lists.
    """

    options = ("csv", "clips")
    pictures = Pictures.clip()
    karpathy: ClassVar[tuple[str, ...]]
    """Names of Karpathy's JSON, the best first."""
    lists: ClassVar[tuple[str, ...]]
    """Names of a BLIP list, the split in braces."""
    tables: ClassVar[tuple[str, ...]] = ()
    """Names of tables and token files."""
    official: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(file, split) of COCO's own."""
    splits: ClassVar[tuple[tuple[str, tuple[str, ...]], ...]] = ()
    """(split, names of its list of file names)."""
    folders: ClassVar[tuple[str, ...]]
    """Where the pictures may lie inside the root."""

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "text")

    # -- which files -----------------------------------------------------------------------------------------------

    @property
    def base(self) -> Path:
        """The folder that everything is relative to."""
        return self.root if self.root.is_dir() else self.root.parent

    def listings(self) -> list[tuple[Path, str | None]]:
        """(file of captions, split of what it holds). Raises DataError where there is none."""
        if self.root.is_file():
            return self._named(self.root)
        if self.settings.csv is not None:
            chosen = inside(self.root, self.settings.csv, allow_outside=self.settings.allow_outside)
            found = self._blip([chosen]) if chosen.is_dir() else self._named(chosen) if chosen.is_file() else []
            if not found:
                raise DataError("no captions are here", where=chosen, hint="--csv is relative to the root.")
            return found
        places = [self.root / name for name in LISTS if (self.root / name).is_dir()]
        for name in self.karpathy:
            for place in places:
                if (place / name).is_file():
                    return [(place / name, None)]
        found = self._blip(places) or self._official(places)
        if found:
            return found
        for name in self.tables:
            for place in (*places, *self._text_folders()):
                if (place / name).is_file():
                    return [(place / name, None)]
        known = (self.karpathy[0], self.lists[0].format("train"), *(f for f, _ in self.official[:1]), *self.tables)
        raise DataError(f"no captions are here ({', '.join(known)})", where=self.root, hint="Say where with --csv.")

    def _text_folders(self) -> list[Path]:
        """Flickr8k's texts come in a folder of their own, which may lie beside the pictures."""
        return [p for p in (self.base / "Flickr8k_text", self.base / "flickr8k_text") if p.is_dir()]

    def _named(self, file: Path) -> list[tuple[Path, str | None]]:
        """A file the user named; one of BLIP's or COCO's brings the other splits along."""
        for name in self.lists:
            if file.name in [name.format(split) for split in SPLITS]:
                return self._blip([file.parent])
        if file.name in dict(self.official):
            return self._official([file.parent])
        return [(file, None)]

    def _blip(self, places: Sequence[Path]) -> list[tuple[Path, str | None]]:
        for place in places:
            for name in self.lists:
                found = [(place / name.format(s), s) for s in SPLITS if (place / name.format(s)).is_file()]
                if found:
                    return [(path, "validation" if s == "val" else s) for path, s in found]
        return []

    def _official(self, places: Sequence[Path]) -> list[tuple[Path, str | None]]:
        for place in places:
            found: list[tuple[Path, str | None]] = [(place / f, s) for f, s in self.official if (place / f).is_file()]
            if found:
                return found
        return []

    def _official_splits(self, listing: Path) -> dict[str, str]:
        """File name or its stem -> split, of the lists that are there."""
        found: dict[str, str] = {}
        for split, names in self.splits:
            places = (listing.parent, self.base, *self._text_folders())
            path = next((p / n for n in names for p in places if (p / n).is_file()), None)
            for number, line in plain_lines(path) if path is not None else ():
                if found.setdefault(line, split) != split:
                    raise DataError(f"{line} is in the list of {found[line]}, too", where=f"{path}, line {number}")
        return found

    # -- rows ------------------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[Row | BadRow]:
        where = _Finder(self.base, self._folders())
        for listing, split in self.listings():
            lists = {} if split is not None or listing.suffix.lower() == ".json" else self._official_splits(listing)
            seen: dict[str, _Picture] = {}
            for entry in read_captions(listing, split):
                if isinstance(entry, BadRow):
                    yield entry
                    continue
                picture = seen.setdefault(entry.image, _Picture(entry))
                for caption in entry.captions:
                    if caption.strip():
                        picture.captions.append(caption.strip())
                    else:  # one blank caption of five loses nothing else
                        blank = "a caption is blank"
                        yield BadRow(PurePosixPath(entry.image).stem, listing.name, entry.number, blank, fatal=False)
            for picture in seen.values():
                yield self._row(picture, where, lists)

    def _row(self, picture: _Picture, where: _Finder, lists: dict[str, str]) -> Row | BadRow:
        first = picture.first
        name, at = PurePosixPath(first.image).stem, (first.listing.name, first.number)
        split = first.split
        if lists:
            file = PurePosixPath(first.image).name
            split = lists.get(file) or lists.get(name)
            if split is None:
                return BadRow(name, *at, f"{file} is in no split list", fatal=False)
        try:
            if not picture.captions:
                raise DataError("has no caption")
            path = where.find(first.image)
        except DataError as error:
            return BadRow(name, *at, reason(error))
        if path is None:
            return BadRow(name, *at, f"the picture {first.image} is not here", fatal=False)
        return Row(name, *at, {"image": Media("image", path)}, None, split, tuple(picture.captions))

    def _folders(self) -> list[Path]:
        """Where pictures may lie: the ``clips`` setting, or every known folder."""
        if self.settings.clips is None:
            return [self.base, *(self.base / name for name in self.folders)]
        folder = self.base / self.settings.clips
        if not folder.is_dir():
            raise DataError("no such folder of pictures", where=folder)
        return [folder]


class _Finder:
    """Pictures by the path a list gives, or by their bare name, in some folders; each folder is read once."""

    def __init__(self, base: Path, folders: Sequence[Path]) -> None:
        self.places = list(dict.fromkeys((*folders, base)))
        self._names: dict[Path, set[str]] = {}

    def find(self, image: str) -> Path | None:
        """The file; None where there is none. Raises DataError on a path that leads out of the folders."""
        pure = PurePosixPath(image)
        if pure.is_absolute() or ".." in pure.parts or not pure.name or "\0" in image or "\\" in image:
            raise DataError(f"the picture {image!r} leads out of the folder of pictures")
        for tail in dict.fromkeys((pure, PurePosixPath(pure.name))):
            for place in self.places:
                path = place / tail
                if path.name in self._present(path.parent):
                    return path
        return None

    def _present(self, folder: Path) -> set[str]:
        if folder not in self._names:
            self._names[folder] = names_in(folder) if folder.is_dir() else set()
        return self._names[folder]
