"""Features of every real item through a student trained on the whole real set: what herding and its kind look at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from limbeck.data import cache_root
from limbeck.data.store import PairedStore
from limbeck.encoders import Kernels, Precision, Weights, encoders_for
from limbeck.encoders.machine import computing
from limbeck.errors import ConfigError, DataError, FormatError, LimbeckError, NumericsError, nearest
from limbeck.files import digest_of, new_folder, read_json, write_json
from limbeck.training import Recipe, Rows, Student, TrainingData, chunks, train

__all__ = ["whole_features"]

VERSION = 2
SEED = 0
RECIPE = Recipe()
CHUNK = 256
Array = np.ndarray[Any, np.dtype[np.float16]]


def whole_features(
    store: PairedStore,
    *,
    channels: int = 128,
    modalities: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    kernels: Kernels = "literal",
    precision: Precision = "fp32",
    report: Callable[[int], None] | None = None,
) -> dict[str, Array]:
    """Embeddings of the training split, kept in the cache folder.

    The networks are those of the ``whole`` student of seed 0: trained on the labelled training items with the recipe
    of the recognition protocol; items are embedded without augmentation, in the order of ``store.rows("train")``
    [choice, docs/audio_visual.md].

    Args:
        modalities: which of the store's; all by default. The branches share nothing, but the others decide the grid.
        report: see ``limbeck.training.train``.

    Returns:
        per modality (training items, D) half precision, mapped from disk: convert the rows you need.

    Raises:
        ConfigError: unknown modality. DataError: no labels. NumericsError: the training diverges.
    """
    for name in modalities or ():
        if name not in store.modalities:
            raise ConfigError(f"no modality {name!r}", where=store.path, hint=nearest(name, store.modalities))
    if not store.classes:
        raise DataError("features of a trained student need labels; this set has none", where=store.path)
    chosen = {n: m for n, m in store.modalities.items() if modalities is None or n in modalities}
    encoders = encoders_for(chosen, channels=channels, kernels=kernels, precision=precision)
    student = Student(encoders, chosen, len(store.classes))
    about = {
        "version": VERSION,
        "data": store.data_hash,
        "student": student.id,
        "modalities": [m.to_dict() for m in chosen.values()],
        "recipe": RECIPE.to_dict(),
        "seed": SEED,
        **computing(device, kernels, precision),
    }
    rows = store.rows("train")
    folder = cache_root() / "features" / digest_of(about)[:32]
    shapes = {name: (len(rows), encoder.embedding) for name, encoder in encoders.items()}
    found = _read(folder, shapes)
    if found is not None:
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # another process may be at the same training
        found = _read(folder, shapes)
        if found is None:
            progress = folder.with_suffix(".training")
            real = Rows.labelled(store, "train", chosen, device)
            weights = train(student, real, RECIPE, [SEED], device=device, checkpoint=progress, report=report)[0]
            with new_folder(folder) as new:
                _write(new, student, weights, Rows(store, rows, chosen, device), shapes)
                write_json(new / "about.json", about)
            shutil.rmtree(progress, ignore_errors=True)
            found = _read(folder, shapes)
    if found is None:
        raise FormatError("the features just written cannot be read back", where=folder, hint="Is the disk full?")
    return found


@torch.no_grad()
def _write(
    folder: Path, student: Student, weights: Weights, data: TrainingData, shapes: Mapping[str, tuple[int, int]]
) -> None:
    """One file a modality, a chunk of rows at a time: the features need not fit the memory."""
    files: dict[str, Array] = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=shape)
        for name, shape in shapes.items()
    }
    for indices in chunks(range(len(data)), CHUNK):
        batch = data.batch(torch.tensor(indices))
        for name, encoder in student.encoders.items():
            features = encoder.embed(student.branch(weights, name), batch[name]).half().cpu()
            if not bool(features.isfinite().all()):
                raise NumericsError(f"features of {name} are not finite in half precision", where=name)
            files[name][indices[0] : indices[-1] + 1] = features.numpy()
    for file in files.values():
        if isinstance(file, np.memmap):
            file.flush()


def _read(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Array] | None:
    """The kept features, None where they are missing or not whole."""
    try:
        read_json(folder / "about.json")
        found: dict[str, Array] = {}
        for name, shape in shapes.items():
            # "c": torch wants arrays it could write to; what is written stays in memory
            array = np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
            if array.shape != shape or array.dtype != np.float16:
                return None
            found[name] = array
    except (OSError, ValueError, LimbeckError):
        return None
    return found
