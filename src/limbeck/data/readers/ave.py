"""AVE's layout: ``trainSet.txt``, ``valSet.txt``, ``testSet.txt``, clips ``AVE/<video>.mp4``.

A line of the lists is ``category&video&quality&start&end``, without a header.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from limbeck.data.rows import BadRow, Media, Reader, Row, clips_folder, find_clip, names_in, read_table, reason, seconds
from limbeck.errors import DataError

__all__ = ["AVE"]

LISTS = (("trainSet.txt", "train"), ("valSet.txt", "validation"), ("testSet.txt", "test"))


class AVE(Reader):
    """Every window inside the annotated event where its times are whole seconds (docs/audio_visual.md), else one
    window at the event's centre. Without split files, ``Annotations.txt`` is read and nothing has a split."""

    name = "ave"
    description = "AVE and sets in its layout (trainSet/valSet/testSet.txt + clips): windows inside the annotated event"
    options = ("clips",)

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "audio")

    def rows(self) -> Iterator[Row | BadRow]:
        folder = clips_folder(self.root, self.settings, ("AVE", "videos", "clips"))
        present = names_in(folder)
        lists: list[tuple[Path, str | None]] = [(self.root / f, s) for f, s in LISTS if (self.root / f).is_file()]
        lists = lists or [(self.root / "Annotations.txt", None)]
        for listing, split in lists:
            for number, cells in read_table(listing, delimiter="&", quoted=False):
                if cells[:2] == ["Category", "VideoID"]:
                    continue
                name = cells[1] if len(cells) > 1 else ""
                try:
                    label, start, end = _event(cells)
                    clip = Media("video", find_clip(folder, present, (name,)))
                    for mark, first, last in self._windows(start, end):
                        media = {"image": clip, "audio": clip}
                        item = f"{name}_{mark}"
                        yield Row(item, listing.name, number, media, label, split, (), first, last, group=name)
                except DataError as error:
                    yield BadRow(name, listing.name, number, reason(error))

    def _windows(self, start: float, end: float) -> Iterator[tuple[str, float, float]]:
        window = self.settings.window
        count = int((end - start) / window + 1e-9)
        if not (start.is_integer() and end.is_integer() and count):
            yield f"{start:.3f}", start, end
            return
        for k in range(count):
            first = start + k * window
            yield (f"{int(first):02d}" if first.is_integer() else f"{first:.3f}"), first, first + window


def _event(cells: list[str]) -> tuple[str, float, float]:
    if len(cells) != 5:
        raise DataError(f"has {len(cells)} cells, expected category&video&quality&start&end")
    label, name, _, first, last = cells
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise DataError(f"the video {name!r} leads out of the folder of clips")
    if not label:
        raise DataError("has no category")
    start, end = seconds(first, "the start"), seconds(last, "the end")
    if start is None or end is None or not end > start:
        raise DataError(f"the event {first}..{last} has no length")
    return label, start, end
