"""AVDD's published tensors: ``<set>_train.pt`` and ``<set>_test.pt``, or one ``train_<class>.pt`` a class.

A file of a split holds ``images_<split>`` (N, 3, H, W) from 0 to 255, ``audio_<split>`` (N, 1, bands, frames) in
decibel, ``labels_<split>`` (N,) and ``classes``; a file of a class holds ``images`` and ``audio``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from limbeck.data import tensors
from limbeck.data.readers import ave, music21, vggs10k
from limbeck.data.rows import BadRow, Media, Reader, Row
from limbeck.data.settings import PrepareSettings
from limbeck.errors import ConfigError, DataError, FormatError, nearest

__all__ = ["AVDDTensors"]

SPLITS = {"train": "train", "val": "validation", "test": "test"}
WHOLE = re.compile(r"(.+?)(?:_(?:train|val|test))?\.pt")
ONE_CLASS = re.compile(r"train_(\d{1,6})\.pt")
KNOWN = {"vgg_subset": vggs10k.CLASSES, "music_21": music21.CLASSES, "ave": ave.CLASSES}
"""Names of classes by what a file or folder is called."""
TABLE = ["vid", "num", "label", "split", "label_id"]
"""What stands for the classes in VGGS-10K's files: the columns of its table."""
FIXED = ("image_size", "channels", "antialias", "window", "sample_rate", "n_fft", "hop", "frames", "n_mels")
"""Settings of what the tensors hold already."""
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Part:
    """A split, or one class of it: its file, the keys of pictures and sounds, and the label of each row."""

    path: Path
    split: str
    images: str
    audio: str
    labels: tuple[int, ...]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]


class AVDDTensors(Reader):
    """Pictures become bytes, spectrograms stay what they are."""

    name = "avdd_tensors"
    description = "AVDD's published tensors: <set>_train.pt, <set>_test.pt or train_<class>.pt (--csv SET, if several)"
    options = ("csv",)

    def __init__(self, root: Path, settings: PrepareSettings) -> None:
        super().__init__(root, settings)
        for field in fields(PrepareSettings):
            if field.name in FIXED and getattr(settings, field.name) != field.default:
                raise ConfigError("tensors are taken as they are", where=field.name, hint="Leave this setting out.")

    @property
    def offers(self) -> tuple[str, ...]:
        return ("image", "audio")

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return dict(zip(self.offers, self._parts[0].shapes, strict=True))

    def classes(self) -> Sequence[str]:
        return self._names

    def rows(self) -> Iterator[Row | BadRow]:
        names = self._names
        for part in self._parts:
            single = part.images == "images"  # a file of one class, whose rows need its number, too
            start = f"{part.split}-{part.labels[0]:04d}-" if single else f"{part.split}-"
            for k, label in enumerate(part.labels):
                media = {
                    "image": Media("tensor", part.path, k, part.images),
                    "audio": Media("tensor", part.path, k, part.audio),
                }
                yield Row(f"{start}{k:06d}", part.path.name, k, media, names[label], part.split)

    @cached_property
    def _parts(self) -> list[Part]:
        whole, by_class = _files(self.root, self.settings.csv)
        held = {path: _opened(path) for path in whole}
        parts: list[Part] = []
        for short, split in SPLITS.items():
            having = [path for path in whole if f"images_{short}" in held[path]]
            if having:
                # a file that is named after the split comes before one that holds it, too
                path = min(having, key=lambda path: not path.stem.endswith(f"_{short}"))
                keys = (f"images_{short}", f"audio_{short}", f"labels_{short}")
                parts.append(_part(path, held[path], split, keys))
            elif short == "train":
                parts += [_part(path, _opened(path), split, ("images", "audio", ""), c) for c, path in by_class]
        if not parts:
            raise FormatError("lacks images_train or images_test", where=next(iter(whole), self.root))
        odd = next((part for part in parts if part.shapes != parts[0].shapes), None)
        if odd is not None:
            raise FormatError(
                f"its items are {odd.shapes}, those of {parts[0].path.name} {parts[0].shapes}", where=odd.path
            )
        return parts

    @cached_property
    def _names(self) -> list[str]:
        """Names of classes by number: those in a file, those of a set that is known, else their numbers."""
        count = 1 + max(max(part.labels) for part in self._parts)
        for part in self._parts:
            names = _opened(part.path).get("classes")
            if isinstance(names, list | tuple) and _different_words(names) and len(names) >= count and names != TABLE:
                return list(names)
        for part in self._parts:
            for known, classes in KNOWN.items():
                if known in f"{part.path.parent.name}/{part.path.name}" and len(classes) >= count:
                    return list(classes)
        return [f"class {k:0{len(str(count - 1))}d}" for k in range(count)]


def _files(root: Path, wanted: str | None) -> tuple[list[Path], list[tuple[int, Path]]]:
    """(files of splits, files of classes by number) of the one set below ``root`` or in a folder of its."""
    if root.is_file():
        return [root], []
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    found = [path for folder in folders for path in sorted(folder.glob("*.pt"))]
    by_class = [path for path in found if ONE_CLASS.fullmatch(path.name)]
    whole = [path for path in found if path not in set(by_class)]
    if not found:
        hint = "It needs <set>_train.pt, <set>_test.pt or train_<class>.pt; unpack what was downloaded."
        raise DataError("holds none of AVDD's tensors", where=root, hint=hint)
    names = sorted({_set_of(path) for path in whole} or {path.parent.name for path in by_class})
    if wanted is None and len(names) > 1:
        raise DataError(f"which set? Found {', '.join(names)}", where=root, hint="Say which with --csv.")
    if wanted is not None and wanted not in names:
        raise DataError(f"no such set {wanted!r}", where=root, hint=nearest(wanted, names))
    chosen = wanted or names[0]
    of_set = [path for path in by_class if path.parent == root or chosen in path.parent.name]
    if len({path.parent for path in of_set}) > 1:
        raise DataError(f"several folders hold classes of {chosen}", where=root, hint="Give one of them as --root.")
    numbered = sorted((int(path.stem.partition("_")[2]), path) for path in of_set)
    return [path for path in whole if _set_of(path) == chosen], numbered


def _set_of(path: Path) -> str:
    found = WHOLE.fullmatch(path.name)
    return found[1] if found else path.stem


def _opened(path: Path) -> Mapping[str, Any]:
    held = tensors.load(path)
    if not isinstance(held, Mapping):
        raise FormatError(f"holds {type(held).__name__}, not tensors by name", where=path)
    return held


def _part(path: Path, held: Mapping[str, Any], split: str, keys: tuple[str, str, str], label: int = 0) -> Part:
    """Check what a file says of a split; ``label`` is that of every row where there is no key of labels."""
    for key in keys:
        if key and key not in held:
            raise FormatError(f"lacks {key!r}", where=path, hint=nearest(key, map(str, held)))
    images, audio = (tensors.numbers(held[key], key, path, 4) for key in keys[:2])
    if images.shape[1] not in (1, 3) or audio.shape[1] != 1:
        raise FormatError(f"pictures are {tuple(images.shape)}, spectrograms {tuple(audio.shape)}", where=path)
    labels = [label] * len(images)
    if keys[2]:
        given = tensors.numbers(held[keys[2]], keys[2], path, 1)
        if given.is_floating_point():
            raise FormatError(f"{keys[2]} are no whole numbers", where=path)
        labels = given.tolist()
    if not len(images) == len(audio) == len(labels):
        raise FormatError(f"{len(images)} pictures, {len(audio)} sounds and {len(labels)} labels", where=path)
    if min(labels) < 0 or max(labels) >= MOST_CLASSES:
        raise FormatError(f"labels run from {min(labels)} to {max(labels)}", where=path)
    return Part(path, split, keys[0], keys[1], tuple(labels), (tuple(images.shape[1:]), tuple(audio.shape[1:])))


def _different_words(names: Sequence[object]) -> bool:
    return all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names)
