"""The cache of real class means: a run on the same data and seed, at any budget or weights, skips the real side.

One file for each (data, encoders, seed, draws, numerics): records of fixed size, one a slot, each with a checksum, so
that a record that was never finished counts as missing. Two runs may write one file at once: equal keys write equal
bytes.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from limbeck.augment import DSA
from limbeck.config import settings_hash
from limbeck.encoders.machine import machine_name
from limbeck.errors import ConfigError
from limbeck.files import write_json

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.engine.eyes import Eyes
    from limbeck.engine.numerics import Numerics
    from limbeck.engine.plan import Plan
    from limbeck.engine.ranks import Ranks
    from limbeck.engine.settings import RunSettings
    from limbeck.engine.sight import Sight

__all__ = ["SharedCache", "StatisticsCache", "open_cache", "rows_key", "shared_cache", "statistics_key"]

VERSION = 2
"""Counts changes of how real means are drawn and computed."""
FILES = 5
"""Full files the folder may hold; beyond that the least recently used go."""
HEADER = struct.Struct("<II")
MAGIC = 0x4C424B31  # "LBK1"


def statistics_key(store: PairedStore, eyes: Eyes, settings: RunSettings, numerics: Numerics) -> dict[str, Any]:
    """Everything the real means of a step depend on; neither budget nor loss weights nor rates."""
    return {
        "data": store.data_hash,
        "encoders": {name: encoder.id for name, encoder in eyes.encoders.items()},
        **eyes.key,
        "real_statistics": settings.real_statistics,
        "real_batch": settings.real_batch if settings.real_statistics == "batch" else None,
        "version": VERSION,
        "augment": DSA(tuple(settings.augment.split("_"))).id if settings.augment else "",
        "dsa_sharing": settings.dsa_sharing,
        "dtype": settings.cache_dtype,
        # the torch that runs, which on resuming may not be the one the run was started under
        "numerics": {**numerics.to_dict(), "group": None, "torch": torch.__version__},
        "machine": machine_name(numerics.device),
    }


def rows_key(planned: Plan, found: Sight) -> dict[str, Any]:
    """The same of the embeddings of single items by fresh encoders, by class or by pairs."""
    settings = planned.settings
    whole = settings.real_statistics == "class"
    return {
        "rows": found.items.id,
        "encoders": {name: encoder.id for name, encoder in found.encoders.items()},
        "seed": settings.seed,
        "streams": settings.streams,
        "real_batch": None if whole else settings.real_batch,
        "version": VERSION,
        "augment": DSA(tuple(settings.augment.split("_"))).id if settings.augment else "",
        "dsa_sharing": settings.dsa_sharing,
        "dtype": settings.cache_dtype,
        "numerics": {**planned.numerics.to_dict(), "group": None, "real_group": None, "torch": torch.__version__},
        "machine": machine_name(planned.numerics.device),
    }


def open_cache(
    root: Path, key: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]], settings: RunSettings
) -> StatisticsCache:
    """A run's cache. Raises ConfigError where it cannot be written."""
    try:
        return StatisticsCache(root, key, shapes, settings.cache_dtype, settings.cache_limit * 1e9)
    except OSError as error:
        raise ConfigError(
            f"the cache cannot be written ({error.strerror})",
            where=root,
            hint="Set LIMBECK_CACHE to a folder that can be, or use --cache false.",
        ) from error


class StatisticsCache:
    """Means of each slot (a step, or a pair of a bank with its draw), from the file or computed and kept.

    Args:
        root: folder of all cache files.
        key: of :func:`statistics_key`.
        shapes: by name (C, D).
        dtype: "fp32" gives back the very bits; "fp16" rounds, and rounds what was computed just now too, so that a
            run is the same whether or not its means were there.
        limit: bytes the file may take; later steps are computed each time.
    """

    def __init__(
        self, root: Path, key: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]], dtype: str, limit: float
    ) -> None:
        self._shapes = dict(shapes)
        self._dtype = np.dtype("<f4" if dtype == "fp32" else "<f2")
        self._payload = sum(k * d for k, d in self._shapes.values()) * self._dtype.itemsize
        self._limit = int(limit)
        self.hits = self.misses = 0
        root.mkdir(parents=True, exist_ok=True)
        self.path = root / f"{settings_hash(dict(key))}.bin"
        if not self.path.with_suffix(".json").exists():
            write_json(self.path.with_suffix(".json"), dict(key))
        self._make_room(root)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        os.utime(self.path)  # a file that is whole is only read, and reading does not say that it is used

    @property
    def record_bytes(self) -> int:
        """Bytes a slot takes."""
        return HEADER.size + self._payload

    def means(self, slot: int, device: torch.device, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """By name (C, D) on ``device``; ``compute`` is called where the slot is empty."""
        fits = (slot + 1) * self.record_bytes <= self._limit
        payload = self._read(slot) if fits else None
        if payload is not None:
            self.hits += 1
            return {k: v.to(device) for k, v in self._unpack(payload).items()}
        self.misses += 1
        means = dict(compute())
        packed = b"".join(means[k].cpu().numpy().astype(self._dtype).tobytes() for k in self._shapes)
        if fits:
            try:
                os.pwrite(self._file, HEADER.pack(MAGIC, zlib.crc32(packed)) + packed, slot * self.record_bytes)
            except OSError:  # a full disk ends the keeping, not the run
                self._limit = 0
        return means if self._dtype.itemsize == 4 else {k: v.to(device) for k, v in self._unpack(packed).items()}

    def _make_room(self, root: Path) -> None:
        files = sorted((p for p in root.glob("*.bin") if p != self.path), key=lambda p: p.stat().st_mtime, reverse=True)
        total = 0
        for file in files:
            total += file.stat().st_size
            if total > (FILES - 1) * self._limit:
                file.unlink(missing_ok=True)
                file.with_suffix(".json").unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)

    def _read(self, slot: int) -> bytes | None:
        record = os.pread(self._file, self.record_bytes, slot * self.record_bytes)
        if len(record) < self.record_bytes:
            return None
        magic, checksum = HEADER.unpack_from(record)
        payload = record[HEADER.size :]
        return payload if magic == MAGIC and zlib.crc32(payload) == checksum else None

    def _unpack(self, payload: bytes) -> dict[str, Tensor]:
        numbers = torch.from_numpy(np.frombuffer(payload, self._dtype).astype(np.float32))
        sizes = [k * d for k, d in self._shapes.values()]
        parts = numbers.split(sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}


class SharedCache:
    """Rank 0's cache, for all: what it lacks they compute together.

    Args:
        own: on rank 0; None on the others.
        shapes: by name, of what it holds.
    """

    def __init__(self, own: StatisticsCache | None, shapes: Mapping[str, tuple[int, int]], ranks: Ranks) -> None:
        self._own, self._shapes, self._ranks = own, dict(shapes), ranks

    def means(self, slot: int, device: torch.device, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """As :meth:`StatisticsCache.means`; met by all, and so is ``compute``."""
        missed = False

        def together() -> Mapping[str, Tensor]:
            nonlocal missed
            missed = self._ranks.any(True)
            return compute()

        if self._own is not None:
            found = self._own.means(slot, device, together)
            if not missed:
                self._ranks.any(False)
        else:
            if self._ranks.any(False):
                compute()
            found = {name: torch.empty(shape, device=device) for name, shape in self._shapes.items()}
        self._ranks.from_first_(found[name] for name in self._shapes)
        return found


def shared_cache(
    own: StatisticsCache | None, shapes: Mapping[str, tuple[int, int]], ranks: Ranks
) -> StatisticsCache | SharedCache | None:
    """The cache as a rank uses it: alone, its own."""
    return SharedCache(own, shapes, ranks) if ranks.many else own
