"""AVE's layout: ``trainSet.txt``, ``valSet.txt``, ``testSet.txt``, clips ``AVE/<video>.mp4``.

A line of the lists is ``category&video&quality&start&end``, without a header; that of Annotations.txt may have one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from limbeck.data.readers.windows import windows
from limbeck.data.rows import (
    BadRow,
    Media,
    Reader,
    Row,
    clips_folder,
    find_clip,
    missing,
    names_in,
    plain_name,
    read_table,
    reason,
    seconds,
)
from limbeck.errors import DataError

__all__ = ["AVE", "CLASSES"]

LISTS = (("trainSet.txt", "train"), ("valSet.txt", "validation"), ("testSet.txt", "test"))
CLASSES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Chainsaw",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
)
"""The 28 categories in the order of their numbers in AVDD's tensors (docs/audio_visual.md)."""
LEFT_OUT = frozenset({"VWi2ENBuTbw", "0-I1-DOC-r8", "TTYevyM_tUw", "K6F1sogt46U", "MWFQerde_h8", "GmetnCLxFHE"})
"""Videos of the train list that AVDD leaves out, as they cannot be processed."""


class AVE(Reader):
    """Every window inside the annotated event where its times are whole seconds (docs/audio_visual.md), else one
    window at the event's centre. Without split files, ``Annotations.txt`` is read and nothing has a split."""

    name = "ave"
    description = "AVE and sets in its layout (trainSet/valSet/testSet.txt + clips): windows inside the annotated event"
    options = ("clips",)

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "audio")

    def classes(self) -> Sequence[str]:
        return CLASSES

    def rows(self) -> Iterator[Row | BadRow]:
        folder = clips_folder(self.root, self.settings, ("AVE", "videos", "clips"))
        present = names_in(folder)
        lists: list[tuple[Path, str | None]] = [(self.root / f, s) for f, s in LISTS if (self.root / f).is_file()]
        lists = lists or [(self.root / "Annotations.txt", None)]
        if not lists[0][0].is_file():
            what = f"holds neither {', '.join(f for f, _ in LISTS)} nor Annotations.txt"
            raise DataError(
                what, where=self.root, hint="--root is the folder AVE_Dataset that AVE's archive unpacks to."
            )
        for listing, split in lists:
            for number, cells in read_table(listing, delimiter="&", quoted=False):
                if cells[:2] == ["Category", "VideoID"]:
                    continue
                name = cells[1] if len(cells) > 1 else ""
                if name in LEFT_OUT and split in ("train", None) and not self.settings.keep_dropped:
                    yield BadRow(name, listing.name, number, f"AVDD leaves {name} out", fatal=False)
                    continue
                try:
                    label, start, end = _event(cells)
                    path = find_clip(folder, present, (name,))
                    if path is None:
                        yield missing(name, listing, number, folder)
                        continue
                    media = dict.fromkeys(self.offers, Media("video", path))
                    for mark, first, last, begin in self._windows(start, end):
                        yield Row(
                            f"{name}_{mark}", listing.name, number, media, label, split, (), first, last, name, begin
                        )
                except DataError as error:
                    yield BadRow(name, listing.name, number, reason(error))

    def _windows(self, start: float, end: float) -> Iterator[tuple[str, float, float, float | None]]:
        found = list(windows(start, end, self.settings.window))
        if not (start.is_integer() and end.is_integer() and found):
            yield f"{start:.3f}", start, end, None
            return
        for first, last, begin in found:
            yield (f"{int(first):02d}" if first.is_integer() else f"{first:.3f}"), first, last, begin


def _event(cells: list[str]) -> tuple[str, float, float]:
    if len(cells) != 5:
        raise DataError(f"has {len(cells)} cells, expected category&video&quality&start&end")
    label, name, _, first, last = cells
    plain_name(name, "video")
    if not label:
        raise DataError("has no category")
    start, end = seconds(first, "the start"), seconds(last, "the end")
    if start is None or end is None or not end > start:
        raise DataError(f"the event {first}..{last} has no length")
    return label, start, end
