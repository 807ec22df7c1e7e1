"""SUN RGB-D in its own layout: one folder a frame with ``image/``, ``depth_bfx/``, ``depth/`` and ``scene.txt``.

Depth files are 16-bit PNGs whose bits are rotated by three: metres = ((v >> 3) | (v << 13)) / 1000, in 16 bits. The
filled depth (``depth_bfx``) is taken where it is there. The text is the scene's name, which **is** the label
(``text_is_label`` in the store's settings).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from limbeck.data import matlab
from limbeck.data.readers.caption_files import plain_lines
from limbeck.data.readers.frames import split_lists
from limbeck.data.rows import BadRow, Media, Reader, Row, reason
from limbeck.errors import DataError

__all__ = ["SUNRGBD"]

ALL = "allsplit.mat"
TOP = "SUNRGBD"
"""Paths of the official split count from the folder of this name."""


class SUNRGBD(Reader):
    """The official split (``allsplit.mat``), or lists of frames' folders (``train.txt``, ``val.txt``, ``test.txt``),
    where the root has them; else **every frame is train**, and splits are carved (``test``, ``validation``)."""

    name = "sunrgbd"
    description = "SUN RGB-D (image/, depth_bfx/, scene.txt a frame). Text is the scene's name: the label itself"
    text_is_label = True

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "depth", "text")

    def rows(self) -> Iterator[Row | BadRow]:
        folders = list(_frames(self.root))
        if not folders:
            hint = "A frame is a folder with image/, depth/ or depth_bfx/, and scene.txt."
            raise DataError("no frames are here", where=self.root, hint=hint)
        splits = _splits(self.root)
        for number, folder in enumerate(folders, 1):
            place = PurePosixPath(folder.relative_to(self.root).as_posix())
            name = "-".join(place.parts) or folder.name
            split = splits.get(_below(place.as_posix()))
            if splits and split is None:
                yield BadRow(name, folder.name, number, f"{place} is in no split list", fatal=False)
                continue
            try:
                yield _row(folder, name, number, split)
            except DataError as error:
                yield BadRow(name, folder.name, number, reason(error))


def _row(folder: Path, name: str, number: int, split: str | None) -> Row:
    scene = " ".join(line for _, line in plain_lines(folder / "scene.txt")).replace("_", " ").strip()
    if not scene:
        raise DataError("its scene.txt is empty")
    depths = next((folder / d for d in ("depth_bfx", "depth") if (folder / d).is_dir()), folder / "depth")
    media = {
        "image": Media("image", _only(folder / "image", (".jpg", ".jpeg", ".png"))),
        "depth": Media("depth", _only(depths, (".png",)), key="rotated"),
    }
    return Row(name, folder.name, number, media, scene, split, (scene,))


def _only(folder: Path, endings: tuple[str, ...]) -> Path:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in endings) if folder.is_dir() else []
    if len(found) != 1:
        raise DataError(f"has {len(found)} files in {folder.name}, expected one")
    return found[0]


def _frames(root: Path) -> Iterator[Path]:
    """Folders with a scene.txt, in order; what is inside of one is not looked through."""
    for folder, below, files in os.walk(root):
        below.sort()
        if "scene.txt" in files:
            below.clear()
            yield Path(folder)


def _splits(root: Path) -> dict[str, str]:
    """Folder of a frame -> split; {} where the root has no list."""
    if not (root / ALL).is_file():
        return {_below(name): split for name, split in split_lists(root).items()}
    found: dict[str, str] = {}
    for split, places in zip(("train", "test"), matlab.strings(root / ALL, "alltrain", "alltest"), strict=True):
        for place in places:
            if found.setdefault(_below(place), split) != split:
                raise DataError(f"{place} is in both splits", where=root / ALL)
    return found


def _below(place: str) -> str:
    """The path as it goes on below the folder of the set."""
    parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts[parts.index(TOP) + 1 :] if TOP in parts else parts)
