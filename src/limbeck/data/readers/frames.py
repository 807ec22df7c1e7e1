"""Frames of picture, depth map and scene name, exported into folders, and lists of which split they belong to.

| layout | what says so |
|---|---|
| a table | a CSV with the columns ``depth``, ``scene`` (or ``label``) and, if there, ``rgb``, ``split``, ``id`` |
| folders of classes | ``rgb/<scene>/<name>.png`` and ``depth/<scene>/<name>.png``, with ``train.txt``, ``test.txt`` |
| folders of splits | the same two inside ``train``, ``test`` (and ``val``) |

A depth map is a 16-bit PNG of millimetres, unless ``depth_unit`` says otherwise; 0 where nothing was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from limbeck.data.readers.caption_files import plain_lines
from limbeck.data.rows import BadRow, find_listing, inside, names_in, read_table, reason, split_name
from limbeck.data.settings import PrepareSettings
from limbeck.errors import DataError

__all__ = ["Frame", "frames", "has_pictures", "split_lists"]

RGB, DEPTH = ("rgb", "color", "image", "images"), ("depth", "depths")
SCENE = ("scene", "scene_type", "label", "class")
PICTURES = (".png", ".jpg", ".jpeg", ".ppm", ".bmp", ".tif", ".tiff")
LISTS = {"train.txt": "train", "val.txt": "validation", "validation.txt": "validation", "test.txt": "test"}
FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Frame:
    """One frame: where its files are; ``scene`` as the source writes it, ``image`` where there is one."""

    id: str
    listing: str
    number: int
    depth: Path
    scene: str
    split: str | None
    image: Path | None


def split_lists(folder: Path) -> dict[str, str]:
    """Name in a list -> split, of ``train.txt``, ``val.txt`` and ``test.txt``; {} without any.

    Raises DataError where a name is in two of them.
    """
    found: dict[str, str] = {}
    for file, split in LISTS.items():
        if (folder / file).is_file():
            for number, line in plain_lines(folder / file):
                if found.setdefault(line, split) != split:
                    raise DataError(f"{line} is in the list of {found[line]}, too", where=f"{file}, line {number}")
    return found


def frames(root: Path, settings: PrepareSettings) -> Iterator[Frame | BadRow]:
    """Every frame below ``root``, in order. Raises DataError where no layout fits."""
    if root.is_file() or settings.csv is not None or any(root.glob("*.csv")):
        yield from _table(find_listing(root, settings, ("frames.csv", "labels.csv"), "*.csv"), settings)
        return
    parts: list[tuple[Path, str | None]] = [(root / f, s) for f, s in FOLDERS.items() if (root / f).is_dir()]
    parts = [(folder, split) for folder, split in parts if _one_of(folder, DEPTH)] or [(root, None)]
    if _one_of(parts[0][0], DEPTH) is None:
        hint = "It needs nyu_depth_v2_labeled.mat with splits.mat, or rgb/ and depth/ with folders of scenes, or a CSV."
        raise DataError("no frames are here", where=root, hint=hint)
    for folder, split in parts:
        yield from _folders(folder, split, split_lists(root))


def has_pictures(root: Path, settings: PrepareSettings) -> bool:
    """Whether the frames have pictures beside their depth maps."""
    return any(isinstance(frame, Frame) and frame.image is not None for frame in frames(root, settings))


def _one_of(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _folders(folder: Path, split: str | None, lists: dict[str, str]) -> Iterator[Frame | BadRow]:
    depths, rgb = _one_of(folder, DEPTH), _one_of(folder, RGB)
    assert depths is not None  # the caller looked
    number = 0
    start = f"{folder.name}-" if split is not None else ""
    for scene in sorted(p for p in depths.iterdir() if p.is_dir()):
        twins = _by_stem(rgb / scene.name) if rgb is not None and (rgb / scene.name).is_dir() else {}
        for stem, path in sorted(_by_stem(scene).items()):
            number += 1
            name, at = f"{start}{scene.name}-{stem}", (depths.name, number)
            own = split
            if split is None and lists:
                own = next((lists[n] for n in (f"{scene.name}/{stem}", stem, path.name) if n in lists), None)
                if own is None:
                    yield BadRow(name, *at, f"{scene.name}/{stem} is in no split list", fatal=False)
                    continue
            if rgb is not None and stem not in twins:
                yield BadRow(name, *at, f"the depth map {scene.name}/{path.name} has no picture in {rgb.name}")
                continue
            yield Frame(name, *at, path, scene.name, own, twins.get(stem))


def _by_stem(folder: Path) -> dict[str, Path]:
    return {Path(n).stem: folder / n for n in sorted(names_in(folder)) if Path(n).suffix.lower() in PICTURES}


def _table(listing: Path, settings: PrepareSettings) -> Iterator[Frame | BadRow]:
    table = read_table(listing)
    _, header = next(table, (0, []))
    columns = {name.lower(): k for k, name in reversed(list(enumerate(header)))}
    depth = next((columns[n] for n in DEPTH if n in columns), None)
    scene = next((columns[n] for n in SCENE if n in columns), None)
    rgb = next((columns[n] for n in RGB if n in columns), None)
    if depth is None or scene is None:
        hint = "Known are depth, scene (or label), rgb, split and id."
        raise DataError("its first line names no column of depth maps and of scenes", where=listing, hint=hint)
    for number, cells in table:
        name = f"{number:06d}"
        try:
            if len(cells) != len(header):
                raise DataError(f"has {len(cells)} cells, the first line has {len(header)}")
            name = cells[columns["id"]] if "id" in columns else PurePosixPath(cells[depth]).stem
            if not cells[scene]:
                raise DataError("has no scene")
            image = None if rgb is None else _file(listing, cells[rgb], RGB, settings)
            split = split_name(cells[columns["split"]]) if "split" in columns else None
            path = _file(listing, cells[depth], DEPTH, settings)
            yield Frame(name, listing.name, number, path, cells[scene], split, image)
        except DataError as error:
            yield BadRow(name, listing.name, number, reason(error))


def _file(listing: Path, cell: str, folders: tuple[str, ...], settings: PrepareSettings) -> Path:
    """A path of the table: from its own folder, or a bare name in one of the known folders."""
    for start in ("", *(f"{f}/" for f in folders)):
        path = inside(listing.parent, start + cell, allow_outside=settings.allow_outside) if cell else listing.parent
        if path.is_file():
            return path
    raise DataError(f"there is no file {cell!r}")
