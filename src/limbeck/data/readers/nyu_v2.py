"""NYU Depth v2, labelled part: 1449 frames of picture, depth map and the name of the scene's type.

``nyu_depth_v2_labeled.mat`` (HDF5, the extra ``nyu``) with ``splits.mat`` (795 train, 654 test), or an export of it
into folders (:mod:`limbeck.data.readers.frames`). The text of a frame is the name of its scene type, which **is** its
label: whoever reads the text reads the answer. A store says so in its settings (``text_is_label``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from limbeck.data import matlab
from limbeck.data.readers.frames import Frame, frames, has_pictures
from limbeck.data.rows import BadRow, Media, Reader, Row
from limbeck.errors import ConfigError, DataError

__all__ = ["NINE", "NYUv2", "NYUv2Ten"]

LABELED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
NINE = (
    "bathroom",
    "bedroom",
    "bookstore",
    "classroom",
    "dining room",
    "home office",
    "kitchen",
    "living room",
    "office",
)
"""The scene types that the ten-class protocol keeps; everything else is ``others``."""


class NYUv2(Reader):
    """The 27 scene types as classes. Validation frames are carved from train (``validation``), scene by scene."""

    name = "nyu_v2"
    description = "NYU-v2 (labeled.mat + splits.mat, or folders of PNG), 27 scene types. Text is the type, so the label"
    options = ("csv",)
    text_is_label = True
    kept: ClassVar[tuple[str, ...]] = ()
    """Scene types with a class of their own; (): all."""

    @cached_property
    def _mat(self) -> Path | None:
        """The .mat file; None where the root is an export."""
        if self.root.is_file():
            return self.root if self.root.suffix.lower() == ".mat" else None
        file = self.root / LABELED
        if file.is_file() and self.settings.csv is not None:
            raise ConfigError(f"{LABELED} has no listing to choose", where="csv", hint="Leave this setting out.")
        return file if file.is_file() else None

    @cached_property
    def _pictured(self) -> bool:
        return self._mat is not None or has_pictures(self.root, self.settings)

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "depth", "text") if self._pictured else ("depth", "text")

    def classes(self) -> Sequence[str] | None:
        return (*self.kept, "others") if self.kept else None

    def rows(self) -> Iterator[Row | BadRow]:
        if self._mat is not None:
            yield from self._frames_of(self._mat)
            return
        for entry in frames(self.root, self.settings):
            if isinstance(entry, BadRow):
                yield entry
                continue
            media = {"depth": Media("depth", entry.depth)}
            if entry.image is not None:
                media["image"] = Media("image", entry.image)
            yield self._row(entry, media)

    def _row(self, frame: Frame, media: dict[str, Media], group: str = "") -> Row:
        scene = frame.scene.replace("_", " ").strip().lower()
        label = scene if not self.kept or scene in self.kept else "others"
        return Row(frame.id, frame.listing, frame.number, media, label, frame.split, (scene,), group=group)

    def _frames_of(self, path: Path) -> Iterator[Row | BadRow]:
        with matlab.hdf5(path) as file:
            images = matlab.shape_of(file, "images")
            depths = matlab.shape_of(file, "depths")
            types = matlab.read_names(file, "sceneTypes")
            scenes = matlab.read_names(file, "scenes") if file.get("scenes", getlink=True) else [""] * len(types)
        if images[1] != 3 or (images[0], *images[2:]) != depths:
            what = f"images are {images} and depths {depths}, expected (N, 3, W, H) and (N, W, H)"
            raise DataError(what, where=path)
        if not len(types) == len(scenes) == images[0]:
            what = f"{images[0]} frames, {len(types)} sceneTypes and {len(scenes)} scenes"
            raise DataError(what, where=path)
        splits = _splits(path.with_name(SPLITS), images[0])
        for k, (scene, group) in enumerate(zip(types, scenes, strict=True)):
            name, at = f"{k + 1:04d}", (path.name, k + 1)
            if k + 1 not in splits:
                yield BadRow(name, *at, f"frame {k + 1} is in no split of {SPLITS}", fatal=False)
            elif not scene:
                yield BadRow(name, *at, "has no scene type")
            else:
                media = {"image": Media("hdf5", path, k, "images"), "depth": Media("hdf5", path, k, "depths")}
                frame = Frame(name, *at, path, scene, splits[k + 1], path)
                yield self._row(frame, media, group)


class NYUv2Ten(NYUv2):
    """The ten-class protocol: :data:`NINE` and ``others``, whose frames keep the name of their own type as text."""

    name = "nyu_v2_ten"
    description = "NYU-v2 by its ten-class protocol: nine scene types and others; files and text as for nyu_v2"
    kept = NINE


def _splits(path: Path, count: int) -> dict[int, str]:
    """Number of a frame, from 1 -> its split. Raises DataError where the file is missing, or not of so many frames."""
    if not path.is_file():
        hint = f"{SPLITS} is published beside {LABELED}: put it into the same folder."
        raise DataError(f"there is no {SPLITS}", where=path.parent, hint=hint)
    found: dict[int, str] = {}
    for split, rows in zip(("train", "test"), matlab.numbers(path, "trainNdxs", "testNdxs"), strict=True):
        for number in rows.tolist():
            if not 1 <= number <= count:
                raise DataError(f"{split} names frame {number}; there are {count}, from 1", where=path)
            if number in found:
                raise DataError(f"frame {number} is listed twice", where=path)
            found[number] = split
    return found
