"""VGGSound's layout: a csv without header of ``id,start,label,split``, clips ``<id>_<start, 6 digits>.mp4``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from limbeck.data.rows import (
    BadRow,
    Media,
    Reader,
    Row,
    clips_folder,
    find_clip,
    find_listing,
    missing,
    names_in,
    plain_name,
    read_table,
    reason,
    split_name,
)
from limbeck.errors import DataError

__all__ = ["VGGSound"]


class VGGSound(Reader):
    """One window of each clip, at its centre. The csv's start is where the clip was cut from, not a place in it."""

    name = "vggsound"
    description = "VGGSound and sets in its layout (id,start,label,split csv + clips): one window at each clip's centre"
    options = ("csv", "clips")
    only: ClassVar[tuple[str, ...]] = ()
    """Labels that belong to the set; (): all."""
    dropped: ClassVar[frozenset[str]] = frozenset()
    """Test videos that AVDD leaves out."""

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "audio")

    @property
    def listing(self) -> Path:
        """The csv."""
        return find_listing(self.root, self.settings, ("vggsound.csv", f"{self.root.name}.csv"), "*.csv")

    def rows(self) -> Iterator[Row | BadRow]:
        listing = self.listing
        folder = clips_folder(self.root, self.settings, ("videos", "clips", "video"))
        present = names_in(folder)
        for number, cells in read_table(listing):
            name = cells[0]
            if self.only and len(cells) > 2 and cells[2] not in self.only:
                continue
            try:
                label, split, stem = self.read(cells)
                path = find_clip(folder, present, (stem, name))
                if name in self.dropped and split == "test" and not self.settings.keep_dropped:
                    yield BadRow(stem, listing.name, number, f"AVDD leaves {name} out", fatal=False)
                elif path is None:
                    yield missing(stem, listing, number, folder)
                else:
                    media = dict.fromkeys(self.offers, Media("video", path))
                    yield Row(stem, listing.name, number, media, label, split, group=name)
            except DataError as error:
                yield BadRow(name, listing.name, number, reason(error))

    def read(self, cells: list[str]) -> tuple[str, str, str]:
        """(label, split, the clip's name without ending) of a line. Raises DataError."""
        if len(cells) != 4:
            raise DataError(f"has {len(cells)} cells, expected id,start,label,split")
        name, start, label, split = cells
        plain_name(name, "id")
        if not start.isdecimal():
            raise DataError(f"the start {start!r} is no whole number of seconds")
        if not label:
            raise DataError("has no label")
        return label, split_name(split), f"{name}_{int(start):06d}"
