"""MUSIC-21: solos of 21 instruments, in the layouts they are published in.

``music_21.csv`` (AVDD: header ``vid,split,label``) gives the splits; without it ``MUSIC21_solo_videos.json``
(``{"videos": {instrument: [ids]}}``) lists the videos, and splits are carved video by video. Clips are
``<id>.mp4``, all in one folder or in one folder an instrument.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from limbeck.data.readers.windows import windows
from limbeck.data.reel import covered
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
from limbeck.errors import DataError, FormatError, nearest
from limbeck.files import read_json

__all__ = ["CLASSES", "MUSIC21"]

HEADER = ["vid", "split", "label"]
CSV, JSON = "music_21.csv", "MUSIC21_solo_videos.json"
CLASSES = (
    "xylophone",
    "drum",
    "trumpet",
    "piano",
    "congas",
    "flute",
    "violin",
    "banjo",
    "cello",
    "guzheng",
    "ukulele",
    "bagpipe",
    "bassoon",
    "accordion",
    "electric_bass",
    "tuba",
    "acoustic_guitar",
    "pipa",
    "clarinet",
    "saxophone",
    "erhu",
)
"""In the order of their numbers in AVDD's tensors (docs/audio_visual.md)."""


class MUSIC21(Reader):
    """All windows of each video that its picture and sound both reach, one after the other without overlap."""

    name = "music21"
    description = "MUSIC-21: music_21.csv (vid,split,label) or MUSIC21_solo_videos.json + clips: every second of each"
    options = ("csv", "clips")

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "audio")

    def classes(self) -> Sequence[str]:
        return CLASSES

    def rows(self) -> Iterator[Row | BadRow]:
        listing = find_listing(self.root, self.settings, (CSV, JSON), "*.csv")
        folder = clips_folder(self.root, self.settings, ("videos", "clips", "video", "solo"))
        present = {"": names_in(folder)}
        seen: dict[str, str] = {}
        for number, name, label, split in _videos(listing):
            if name in seen:
                if seen[name] != label:
                    twice = f"is listed as {seen[name]}, too"
                    yield BadRow(name, listing.name, number, twice, fatal=False)
                continue
            seen[name] = label
            try:
                plain_name(name, "video")
                if label not in CLASSES:
                    raise DataError(f"unknown instrument {label!r}", hint=nearest(label, CLASSES))
                chosen = split_name(split) if split is not None else None
                if label not in present:
                    own = folder / label
                    present[label] = names_in(own) if own.is_dir() else set()
                path = find_clip(folder / label, present[label], (name,)) or find_clip(folder, present[""], (name,))
                if path is None:
                    yield missing(name, listing, number, folder)
                    continue
                yield from self._windows(path, name, (listing.name, number), label, chosen)
            except DataError as error:
                yield BadRow(name, listing.name, number, reason(error))

    def _windows(
        self, path: Path, name: str, where: tuple[str, int], label: str, split: str | None
    ) -> Iterator[Row | BadRow]:
        media = dict.fromkeys(self.offers, Media("video", path))
        found = 0
        for k, (first, last, begin) in enumerate(windows(0.0, covered(path), self.settings.window)):
            found += 1
            yield Row(f"{name}_{k:04d}", *where, media, label, split, (), first, last, name, begin)
        if not found:
            raise DataError(f"is shorter than a window of {self.settings.window:g} s")


def _videos(listing: Path) -> Iterator[tuple[int, str, str, str | None]]:
    """(line, video, instrument, split) of either list."""
    if listing.suffix.lower() == ".json":
        try:
            videos = read_json(listing).get("videos")
        except FormatError as error:
            raise DataError(error.what, where=listing) from error
        entries = videos.items() if isinstance(videos, dict) else [("", None)]
        number = 0
        for label, names in entries:
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise DataError("is not of the form {'videos': {instrument: [ids]}}", where=listing)
            for name in names:
                number += 1
                yield number, name, label, None
        return
    table = read_table(listing)
    _, header = next(table, (0, []))
    if header != HEADER:
        raise DataError(f"its first line must be {','.join(HEADER)}", where=listing)
    for number, cells in table:
        name, split, label = cells if len(cells) == 3 else (cells[0], "", "")
        yield number, name, label, split
