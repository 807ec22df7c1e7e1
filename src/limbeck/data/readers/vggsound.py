"""VGGSound's layout: a csv without header of ``id,start,label,split``, clips ``<id>_<start, 6 digits>.mp4``."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.data.rows import (
    BadRow,
    Media,
    Reader,
    Row,
    clips_folder,
    find_clip,
    find_listing,
    names_in,
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

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "audio")

    def rows(self) -> Iterator[Row | BadRow]:
        listing = find_listing(self.root, self.settings, ("vggsound.csv", f"{self.root.name}.csv"), "*.csv")
        folder = clips_folder(self.root, self.settings, ("videos", "clips", "video"))
        present = names_in(folder)
        for number, cells in read_table(listing):
            name = cells[0]
            try:
                if len(cells) != 4:
                    raise DataError(f"has {len(cells)} cells, expected id,start,label,split")
                _, start, label, split = cells
                if not name or "/" in name or "\\" in name or name.startswith("."):
                    raise DataError(f"the id {name!r} leads out of the folder of clips")
                if not start.isdecimal():
                    raise DataError(f"the start {start!r} is no whole number of seconds")
                if not label:
                    raise DataError("has no label")
                stem = f"{name}_{int(start):06d}"
                clip = Media("video", find_clip(folder, present, (stem, name)))
                media = {"image": clip, "audio": clip}
                yield Row(stem, listing.name, number, media, label, split_name(split), group=name)
            except DataError as error:
                yield BadRow(name, listing.name, number, reason(error))
