"""AV-MNIST: MNIST digits and spoken digits (FSDD), paired by class in ``pairs.csv``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from limbeck.data.idx import read_idx
from limbeck.data.rows import BadRow, Media, Reader, Row, find_listing, inside, read_table, reason, split_name
from limbeck.errors import DataError

__all__ = ["AVMNIST"]

COLUMNS = ["image_index", "recording", "label", "label_name", "speaker", "split"]
IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


class AVMNIST(Reader):
    """Picture and recording share the class only. The labels of both sources must agree with the listing's."""

    name = "av_mnist"
    description = "AV-MNIST: handwritten digits (idx files) with spoken digits (wav), paired by class in pairs.csv"
    options = ("csv", "clips")

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "audio")

    @cached_property
    def _listing(self) -> Path:
        return find_listing(self.root, self.settings, ("pairs.csv",), "*.csv")

    def classes(self) -> Sequence[str]:
        known = {}
        for _, cells in self._table():
            if len(cells) == len(COLUMNS) and cells[2].isdecimal():
                known[int(cells[2])] = cells[3]
        return [known[k] for k in sorted(known)]

    def _table(self) -> Iterator[tuple[int, list[str]]]:
        table = read_table(self._listing)
        _, header = next(table, (0, []))
        if header != COLUMNS:
            raise DataError(f"its first line must be {','.join(COLUMNS)}", where=self._listing)
        return table

    def rows(self) -> Iterator[Row | BadRow]:
        base = self._listing.parent
        labels = read_idx(base / LABELS)
        folder = base / (self.settings.clips or "recordings")
        for number, cells in self._table():
            name = cells[1] if len(cells) > 1 else ""
            try:
                if len(cells) != len(COLUMNS):
                    raise DataError(f"has {len(cells)} cells, expected {len(COLUMNS)}")
                index, label = int(cells[0]), int(cells[2])
                if not 0 <= index < len(labels):
                    raise DataError(f"there is no picture {index}")
                if labels[index] != label or not name.startswith(f"{label}_"):
                    raise DataError(f"picture {index} and {name} are not both of class {label}")
                media = {
                    "image": Media("idx", base / IMAGES, index),
                    "audio": Media("audio", inside(folder, name)),
                }
                yield Row(Path(name).stem, self._listing.name, number, media, cells[3], split_name(cells[5]))
            except ValueError:
                yield BadRow(name, self._listing.name, number, "image_index and label must be whole numbers")
            except DataError as error:
                yield BadRow(name, self._listing.name, number, reason(error))
