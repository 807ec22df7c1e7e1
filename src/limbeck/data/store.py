"""The prepared real set: a folder of memory-mapped arrays and one JSON file that says what they are.

| file | what |
|---|---|
| ``store.json`` | version, modalities with their normalisation, classes, settings, skipped items, hashes |
| ``<modality>.npy`` | (N, *shape) of the modality's stored type |
| ``index.labels.npy`` | (N,) int64, -1 without label |
| ``index.splits.npy`` | (N,) uint8: 0 train, 1 validation, 2 test |
| ``index.ids.npy``, ``index.ids_offsets.npy`` | UTF-8 blob and (N + 1,) byte offsets |
| ``index.captions.npy``, ``index.captions_offsets.npy`` | the same for the M captions |
| ``index.captions_items.npy`` | (N + 1,): item i has the captions [i]..[i + 1] |
| ``index.captions_vectors.npy`` | (M, D) float32, where ``limbeck embed`` made the store from one with captions |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from limbeck.data.arrays import Captions, Strings, digest, map_array
from limbeck.data.meta import CAPTION_VECTORS, SPLITS, array_plan, content_hash, modalities_of, read_meta
from limbeck.errors import ConfigError, DataError, FormatError, ShapeError, nearest
from limbeck.modalities import Modality

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Rows = Sequence[int] | np.ndarray[Any, Any] | Tensor

__all__ = ["PairedStore"]

FULL_HASH_BYTES = 1 << 30
"""Stores up to this size are hashed whole whenever they are opened; larger ones at 256 places a file."""
ROOM = 1.5
"""Free bytes a GPU must have for each byte that :meth:`PairedStore.keep_on` copies there."""

IntArray = np.ndarray[Any, np.dtype[np.int64]]


class PairedStore:
    """N paired items, decoded once, sampled without copying. Made by :meth:`open`; written by ``StoreWriter``."""

    path: Path
    name: str
    modalities: dict[str, Modality]
    classes: tuple[str, ...]
    data_hash: str
    settings: dict[str, Any]
    skipped: list[dict[str, Any]]
    labels: IntArray
    ids: Sequence[str]
    captions: Captions
    caption_vectors: np.ndarray[Any, Any] | None
    splits: tuple[str, ...]

    def __init__(
        self, path: Path, meta: Mapping[str, Any], modalities: Sequence[Modality], arrays: Mapping[str, Any]
    ) -> None:
        self.path, self.name = path, str(meta["name"])
        self.modalities = {m.name: m for m in modalities}
        self.classes, self.data_hash = tuple(meta["classes"]), str(meta["data_hash"])
        self.settings, self.skipped = dict(meta["settings"]), list(meta["skipped"])
        self._arrays = {m.name: arrays[f"{m.name}.npy"] for m in modalities}
        self._kept: dict[tuple[str, torch.device], Tensor] = {}
        self.labels = arrays["index.labels.npy"]
        self.ids = Strings(arrays["index.ids.npy"], arrays["index.ids_offsets.npy"], path / "index.ids_offsets.npy")
        texts = Strings(
            arrays["index.captions.npy"], arrays["index.captions_offsets.npy"], path / "index.captions_offsets.npy"
        )
        self.captions = Captions(texts, arrays["index.captions_items.npy"], path / "index.captions_items.npy")
        self.caption_vectors = arrays.get(CAPTION_VECTORS)
        codes = arrays["index.splits.npy"]
        if int(codes.max()) >= len(SPLITS):
            raise FormatError(f"unknown split number {int(codes.max())}", where=path / "index.splits.npy")
        if int(self.labels.max()) >= len(self.classes) or int(self.labels.min()) < -1:
            raise FormatError("a label that is no class of the store", where=path / "index.labels.npy")
        self.splits = tuple(s for k, s in enumerate(SPLITS) if np.any(codes == k))
        self._index(codes)

    def _index(self, codes: np.ndarray[Any, Any]) -> None:
        """Row numbers grouped by (split, label); the sort is stable, so each group is ascending."""
        group = codes.astype(np.int64) * (len(self.classes) + 1) + self.labels + 1
        self._order: IntArray = np.argsort(group, kind="stable").astype(np.int64)
        self._starts: IntArray = np.searchsorted(
            group[self._order], np.arange(len(SPLITS) * (len(self.classes) + 1) + 1)
        )
        self._order.setflags(write=False)  # views of it are handed out
        self._merged: dict[tuple[str | None, int | None], IntArray] = {}

    @classmethod
    def open(cls, path: str | Path, *, verify: bool | Literal["full"] = True) -> PairedStore:
        """Open a store folder without reading its arrays into memory.

        Args:
            path: the folder.
            verify: True checks the content hash of every array (of a store above 1 GiB: at 256 places in each file),
                ``"full"`` always all bytes, False only names, types and sizes.

        Raises:
            DataError: there is no store at ``path``.
            FormatError: something in it is truncated, edited, too new or not what it claims to be; names the file.
        """
        folder = Path(path)
        meta = read_meta(folder)
        modalities = modalities_of(meta, folder / "store.json")
        plan = array_plan(modalities, meta["items"], meta["sizes"])
        where = folder / "store.json"
        if set(meta["hashes"]) != set(plan) or set(meta["sampled"]) != set(plan):
            odd = sorted(set(meta["hashes"]) ^ set(plan))
            raise FormatError(f"lists arrays that do not belong to its modalities: {', '.join(odd)}", where=where)
        if meta["data_hash"] != content_hash(modalities, meta["classes"], meta["hashes"]):
            raise FormatError(
                "its content hash does not fit its arrays: edited", where=where, hint="Prepare the store again."
            )
        arrays: dict[str, Any] = {}
        offsets: dict[str, int] = {}
        for file, (shape, dtype) in plan.items():
            arrays[file], offsets[file] = map_array(folder / file, shape, dtype)
        if verify:
            total = sum(a.nbytes for a in arrays.values())
            _verify(folder, meta, offsets, sampled=verify != "full" and total > FULL_HASH_BYTES)
        return cls(folder, meta, modalities, arrays)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        columns = ", ".join(f"{m.name} {'x'.join(map(str, m.shape))}" for m in self.modalities.values())
        return f"PairedStore({self.name!r}, {len(self)} items, {len(self.classes)} classes, {columns})"

    def rows(self, split: str | None = None, label: int | None = None) -> IntArray:
        """Row numbers of a split, a class (-1: the unlabelled), both or all; ascending int64, read-only, not a copy.

        Raises ConfigError for a split or label that does not exist, DataError where nothing is in it.
        """
        if split is not None and split not in SPLITS:
            raise ConfigError(f"unknown split {split!r}", where=self.path, hint=nearest(split, SPLITS))
        if label is not None and not -1 <= label < len(self.classes):
            raise ConfigError(
                f"unknown label {label}", where=self.path, hint=f"The store has {len(self.classes)} classes."
            )
        width = len(self.classes) + 1
        if split is not None and label is not None:  # one group, ascending already
            group = SPLITS.index(split) * width + label + 1
            found = self._order[self._starts[group] : self._starts[group + 1]]
        else:
            found = self._sorted(split, label)
        if not len(found):
            what = [
                f"split {split!r}" if split else "",
                f"class {self.classes[label]!r}" if label is not None and label >= 0 else "",
            ]
            hint = f"The store has the splits {', '.join(self.splits)}."
            raise DataError(
                f"no item in {' and '.join(w for w in what if w) or 'the store'}", where=self.path, hint=hint
            )
        return found

    def _sorted(self, split: str | None, label: int | None) -> IntArray:
        """The rows of several groups, sorted once."""
        if (split, label) not in self._merged:
            width = len(self.classes) + 1
            codes = range(len(SPLITS)) if split is None else [SPLITS.index(split)]
            first, last = (0, width) if label is None else (label + 1, label + 2)
            parts = [self._order[self._starts[k * width + first] : self._starts[k * width + last]] for k in codes]
            merged: IntArray = np.sort(np.concatenate(parts))
            merged.setflags(write=False)
            self._merged[split, label] = merged
        return self._merged[split, label]

    def stored(self, modality: str, rows: Rows) -> Tensor:
        """(n, *shape) of the stored type on the CPU: one gather from the memory map."""
        import torch

        array = self._arrays[self._known(modality)]
        return torch.from_numpy(np.take(array, self._checked(rows), axis=0))

    def batch(self, modality: str, rows: Rows, device: str | torch.device = "cpu") -> Tensor:
        """(n, *shape) float32, normalised, on ``device``; only the stored bytes travel there."""
        import torch

        target = _device(device)
        kept = self._kept.get((self._known(modality), target))
        if kept is None:
            return self.modalities[modality].normalise(self.stored(modality, rows).to(target))
        index = torch.tensor(self._checked(rows), device=target)
        return self.modalities[modality].normalise(_as_stored(kept.index_select(0, index), self.modalities[modality]))

    def keep_on(self, device: str | torch.device, names: Sequence[str] | None = None) -> None:
        """Copy the stored bytes of ``names`` (None: every modality) to ``device``: :meth:`batch` then gathers there.

        What is there already is not copied again, and what would leave a GPU less than half its size to work with stays
        mapped: :meth:`batch` then gathers on the CPU. On the CPU there is nothing to do: the map's pages are there.
        """
        import torch

        target = _device(device)
        if target.type == "cpu":
            return
        for name in self.modalities if names is None else names:
            array, modality = self._arrays[self._known(name)], self.modalities[name]
            if (name, target) in self._kept:
                continue
            if target.type == "cuda" and torch.cuda.mem_get_info(target)[0] < ROOM * array.nbytes:
                continue
            dtype = _gather_dtype(modality)
            kept = torch.empty((len(self), *modality.shape), dtype=dtype, device=target)
            step = max(1, (64 << 20) * len(self) // max(1, array.nbytes))
            for start in range(0, len(self), step):
                block = torch.from_numpy(np.array(array[start : start + step]))
                kept[start : start + step] = block.view(dtype).to(target)
            self._kept[name, target] = kept

    def summary(self) -> dict[str, Any]:
        """JSON-ready: what a person wants to know before using the store."""
        width = len(self.classes) + 1
        counts = np.diff(self._starts).reshape(len(SPLITS), width)
        named = {s: counts[k] for k, s in enumerate(SPLITS) if s in self.splits}
        return {
            "name": self.name,
            "items": len(self),
            "splits": {s: int(c.sum()) for s, c in named.items()},
            "classes": {c: {s: int(n[k + 1]) for s, n in named.items()} for k, c in enumerate(self.classes)},
            "unlabelled": int(counts[:, 0].sum()),
            "captions": self.captions.total,
            **({"embedded": self.settings["embedded"]} if "embedded" in self.settings else {}),
            "modalities": {m.name: m.to_dict() for m in self.modalities.values()},
            "bytes": {name: int(a.nbytes) for name, a in self._arrays.items()},
            "skipped": len(self.skipped),
            "data_hash": self.data_hash,
        }

    def _known(self, modality: str) -> str:
        if modality not in self.modalities:
            raise ConfigError(f"no modality {modality!r}", where=self.path, hint=nearest(modality, self.modalities))
        return modality

    def _checked(self, rows: Rows) -> IntArray:
        index = np.asarray(rows, dtype=np.int64)
        if index.ndim != 1:
            raise ShapeError(f"row numbers must be (n,), got {index.shape}", where=self.path)
        if len(index) and not (index.min() >= 0 and index.max() < len(self)):
            raise ShapeError(f"row numbers must lie in 0..{len(self) - 1}", where=self.path)
        return index


def _device(device: str | torch.device) -> torch.device:
    """The device; "cuda" is the current one by its number, so that each has one name."""
    import torch

    return torch.device("cuda", torch.cuda.current_device()) if str(device) == "cuda" else torch.device(device)


def _gather_dtype(modality: Modality) -> torch.dtype:
    import torch

    # torch gathers no uint16; the same bits as int16 it does
    return torch.int16 if modality.dtype == "uint16" else getattr(torch, modality.dtype)


def _as_stored(gathered: Tensor, modality: Modality) -> Tensor:
    import torch

    return gathered.view(torch.uint16) if modality.dtype == "uint16" else gathered


def _verify(folder: Path, meta: Mapping[str, Any], offsets: Mapping[str, int], *, sampled: bool) -> None:
    known = meta["sampled" if sampled else "hashes"]
    for file, offset in offsets.items():
        if digest(folder / file, offset, sampled=sampled) != known[file]:
            hint = "Prepare the store again, or copy it again from where it came."
            raise FormatError(
                "its content is not what was written (hash differs): edited or damaged", where=folder / file, hint=hint
            )
