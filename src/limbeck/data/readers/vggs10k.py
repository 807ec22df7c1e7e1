"""VGGS-10K: ten classes of VGGSound, from VGGSound's own csv or from AVDD's ``vgg_subset.csv``.

AVDD's csv has a header, ``vid,num,label,split,label_id``; ``num`` is VGGSound's start.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.data.readers.vggsound import VGGSound
from limbeck.data.rows import find_listing
from limbeck.errors import DataError

__all__ = ["CLASSES", "VGGS10K"]

CLASSES = (
    "chicken crowing",
    "toilet flushing",
    "playing acoustic guitar",
    "playing piano",
    "ocean burbling",
    "fireworks banging",
    "child speech, kid speaking",
    "basketball bounce",
    "police radio chatter",
    "driving buses",
)
"""In the order of their numbers in AVDD's csv and tensors (docs/audio_visual.md)."""


class VGGS10K(VGGSound):
    """VGGSound's lines of the ten classes; the others are passed over."""

    name = "vggs10k"
    description = "VGGS-10K: the ten classes of AVDD, from VGGSound's csv or vgg_subset.csv + VGGSound's clips"
    only = CLASSES
    dropped = frozenset({"JsxLvhJ4P6w"})
    """AVDD's script leaves it out: its tensors hold 443 test items, its csv and paper 444."""

    @property
    def listing(self) -> Path:
        return find_listing(self.root, self.settings, ("vgg_subset.csv", "vggsound.csv"), "*.csv")

    def classes(self) -> Sequence[str]:
        return CLASSES

    def read(self, cells: list[str]) -> tuple[str, str, str]:
        if len(cells) == 5:
            *cells, number = cells
            if number != str(CLASSES.index(cells[2])):
                raise DataError(f"the label_id of {cells[2]!r} is {number!r}, not {CLASSES.index(cells[2])}")
        return super().read(cells)
