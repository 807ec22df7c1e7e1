"""Embeddings of all real items by encoders that stand still: made once, mapped ever after.

They lie under ``cache_root()/"embeddings"/<hash>/``, one file for each modality and augmented view, by what they depend
on: the items, the encoders with their weights, the draws. Work that is killed goes on where it stopped; memory does not
grow with the set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from limbeck.augment import DSA, Draw
from limbeck.banks.folder import found_folder, made_here
from limbeck.banks.frozen import Frozen
from limbeck.data import cache_root
from limbeck.data.arrays import digest, map_array, npy_header
from limbeck.encoders.identity import Identity
from limbeck.errors import ConfigError, FormatError, NumericsError, ShapeError
from limbeck.files import digest_of, read_json, write_json
from limbeck.progress import Progress
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.data.real_items import RealItems

__all__ = ["Draws", "FrozenEmbeddings", "kept_as", "seeded_draws"]

Draws = Callable[[int, int], Draw]
"""(view, group) -> the Siamese draw that changes all items of the group."""
VERSION = 1
CHUNK = 64
"""Items that go through an encoder at once; never of two groups."""


def seeded_draws(augment: DSA, seed: int = 0) -> Draws:
    """Draws from ``stream(seed, "views", view, group)``."""
    return lambda view, group: augment.draw(stream(seed, "views", view, group))


class FrozenEmbeddings:
    """R real items under K views, embedded; made by :meth:`build`.

    Vectors that an encoder leaves as they are, are read from the real set itself.
    """

    def __init__(self, source: RealItems, tables: dict[str, list[np.ndarray[Any, Any]]], views: int) -> None:
        self.source, self.views, self._tables = source, views, tables

    @classmethod
    def build(
        cls,
        source: RealItems,
        frozen: Frozen,
        *,
        views: int = 1,
        augment: DSA | None = None,
        draws: Draws | None = None,
        half: bool = False,
        device: str | torch.device = "cpu",
        progress: bool = False,
    ) -> Self:
        """Embed what is not in the cache.

        Args:
            frozen: on ``device``.
            views: K; without ``augment`` all views are the plain items.
            augment: of what is spatial.
            draws: what each view of each group is changed by; :func:`seeded_draws` by default.
            half: keep float16, of which each number has three digits.

        Raises:
            ConfigError: no view, a draw that is not Siamese, or a cache that cannot be written.
            FormatError: a cached file is damaged.
            NumericsError: an embedding is not finite, or too large for half precision; names the item.
        """
        if views < 1:
            raise ConfigError(f"{views} views", where="views", hint="There is one or more.")
        told = draws or (None if augment is None else seeded_draws(augment))
        about = {"embeddings": VERSION, "items": source.id, "frozen": frozen.id, "half": half}
        folder, _ = found_folder(cache_root() / "embeddings", about, made_here(device))
        tables: dict[str, list[np.ndarray[Any, Any]]] = {}
        for name, encoder in frozen.encoders.items():
            if isinstance(encoder, Identity):
                continue
            changed = augment if source.modalities[name].spatial else None
            made = [
                _View(folder, source, frozen, name, changed, told, view, half)
                for view in range(views if changed is not None else 1)
            ]
            tables[name] = [view.table(device, progress) for view in made]
        return cls(source, tables, views)

    def rows(self, view: int, modality: str, positions: Tensor, device: str | torch.device = "cpu") -> Tensor:
        """(n,) positions of real items, on the CPU -> (n, D) float32 on ``device``: what ``view`` embeds as.

        Raises ConfigError on a view there is not, ShapeError on a position.
        """
        if not 0 <= view < self.views:
            raise ConfigError(f"there is no view {view}", hint=f"There are {self.views}.")
        if modality not in self._tables:
            return self.source.batch(modality, positions, device)
        tables = self._tables[modality]
        chosen = np.asarray(positions, dtype=np.int64)
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < len(self.source)):
            raise ShapeError(f"positions must lie in 0..{len(self.source) - 1}")
        where = _table_rows(self.source, modality, chosen)
        found = torch.from_numpy(np.take(tables[min(view, len(tables) - 1)], where, axis=0))
        return found.to(device).float()


class _View:
    """One modality under one view: a file."""

    def __init__(
        self,
        folder: Path,
        source: RealItems,
        frozen: Frozen,
        name: str,
        augment: DSA | None,
        draws: Draws | None,
        view: int,
        half: bool,
    ) -> None:
        self.source, self.frozen, self.name = source, frozen, name
        self.augment = augment
        self.groups = _groups(source, name)
        self.positions = np.concatenate(self.groups) if self.groups else np.empty(0, np.int64)
        self.draws = [] if augment is None or draws is None else [draws(view, g) for g in range(len(self.groups))]
        if not all(draw.siamese for draw in self.draws):
            raise ConfigError("a view changes all items of a group alike", where="draws", hint="Draw with DSA.draw.")
        self.file = folder / f"{name}-{self._tag()}.npy"
        self.title = name if augment is None else f"{name}, view {view + 1}"
        self.shape = (len(self.positions), frozen.encoders[name].embedding)
        self.dtype = np.dtype("<f2" if half else "<f4")

    def _tag(self) -> str:
        """What stands for the view in the file's name: its numbers, so that more views find the first ones made."""
        if self.augment is None:
            return "plain"
        return digest_of([self.augment.id, [[d.family, d.uniforms.tolist()] for d in self.draws]])[:16]

    def table(self, device: str | torch.device, progress: bool) -> np.ndarray[Any, Any]:
        """(rows, D), mapped; made first where it is not there."""
        try:
            if not self.file.exists():
                with FileLock(self.file.with_suffix(".lock")):
                    if not self.file.exists():
                        self._make(device, progress)
        except OSError as error:
            raise ConfigError(
                f"the cache cannot be written ({error.strerror or error})",
                where=self.file.parent,
                hint="Set LIMBECK_CACHE to a folder that can be, with room for it.",
            ) from error
        try:
            found, offset = map_array(self.file, self.shape, self.dtype.name)
            if read_json(self.file.with_suffix(".json")).get("digest") != digest(self.file, offset, sampled=True):
                raise FormatError("is not what was written: edited or damaged", where=self.file)
        except FormatError as error:
            raise FormatError(error.what, where=error.where, hint="Remove its folder: it is made again.") from error
        return found

    @torch.no_grad()
    def _make(self, device: str | torch.device, progress: bool) -> None:
        """Write the table chunk by chunk: what is whole in the unfinished file, is done."""
        part, header = self.file.with_suffix(".partial"), npy_header(self.shape, self.dtype.name)
        row = self.shape[1] * self.dtype.itemsize
        written = (_written(part, header) - len(header)) // row if part.exists() else 0
        chunks = list(self._chunks())
        done = max((end for _, _, end in chunks if end <= written), default=0)
        with (
            part.open("r+b" if done else "wb") as file,
            Progress(f"embeddings of {self.title}", self.shape[0], done=done, shown=progress) as bar,
        ):
            if done:
                file.truncate(len(header) + done * row)
                file.seek(0, os.SEEK_END)
            else:
                file.write(header)
            for group, start, end in chunks:
                if end > done:
                    file.write(self._embedded(group, start, end, device).tobytes())
                    file.flush()
                    bar.update(end, {}, bar.rate(1))
            os.fsync(file.fileno())
        write_json(self.file.with_suffix(".json"), {"digest": digest(part, len(header), sampled=True)})
        part.rename(self.file)  # the last step: where this file is, all is well

    def _chunks(self) -> Iterator[tuple[int, int, int]]:
        """(group, first, end) in rows of the table."""
        begin = 0
        for group, positions in enumerate(self.groups):
            for start in range(0, len(positions), CHUNK):
                yield group, begin + start, begin + min(start + CHUNK, len(positions))
            begin += len(positions)

    def _embedded(self, group: int, start: int, end: int, device: str | torch.device) -> np.ndarray[Any, Any]:
        positions = self.positions[start:end]
        x = self.source.batch(self.name, torch.from_numpy(positions), device)
        if self.augment is not None:
            x = self.augment(x, self.draws[group])
        found: np.ndarray[Any, Any] = self.frozen.embed(self.name, x).float().cpu().numpy()
        whose = f"the embedding of {self.name} by {self.frozen.name}"
        return kept_as(found, self.dtype, whose, lambda k: self.source.item_name(int(positions[k])))


def kept_as(
    found: np.ndarray[Any, Any], dtype: np.dtype[Any], whose: str, name: Callable[[int], str]
) -> np.ndarray[Any, Any]:
    """(n, D) in the precision they are kept in. Raises NumericsError on one that is not finite, or too large for it;
    ``name`` says which item a row is."""
    with np.errstate(over="ignore"):
        kept: np.ndarray[Any, Any] = found.astype(dtype)
    fine = np.isfinite(kept).all(axis=1)
    if not fine.all():
        k = int(np.argmin(fine))
        what = "is not finite" if not np.isfinite(found[k]).all() else "is too large for half precision"
        raise NumericsError(
            f"{whose} {what}", where=f"item {name(k)!r}", hint="Look at that item, and at the encoder's weights."
        )
    return kept


def _groups(source: RealItems, name: str) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Positions whose values stand in the table, by group; of the first modality of pairs each item once."""
    if not _by_item(source, name):
        return source.groups
    assert source.pairs is not None
    _, first = np.unique(source.pairs.owner, return_index=True)
    return [first.astype(np.int64)]


def _table_rows(
    source: RealItems, name: str, positions: np.ndarray[Any, np.dtype[np.int64]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    if not _by_item(source, name):
        return positions
    assert source.pairs is not None
    found: np.ndarray[Any, np.dtype[np.int64]] = source.pairs.owner[positions]
    return found


def _by_item(source: RealItems, name: str) -> bool:
    return source.pairs is not None and name == source.pairs.first


def _written(part: Path, header: bytes) -> int:
    """Bytes of an unfinished file that begins as it should; those of the header alone where it does not."""
    with part.open("rb") as file:
        return part.stat().st_size if file.read(len(header)) == header else len(header)
