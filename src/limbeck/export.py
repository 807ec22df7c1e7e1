"""A synthetic set as plain files: pictures, sounds, vectors and a table."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.errors import ConfigError, NumericsError, nearest
from limbeck.files import new_folder, writing_to
from limbeck.modalities import Audio, Depth, Image, Modality
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TARGETS", "export"]

TABLE = "labels.csv"
CHUNK = 64
"""Stored items decoded at a time: the memory of an export does not grow with the set."""


def export(source: str | Path | SyntheticSet, out: str | Path, to: str = "folder", *, overwrite: bool = False) -> Path:
    """Write the decoded items of a synthetic set, all of them, or nothing.

    ``folder``: ``<modality>/<item>.png`` for pictures (16-bit millimetres for depth), ``<modality>/<item>.wav`` for
    sound (mono, 16 bit, the spectrogram turned back by Griffin-Lim, clips one after the other), ``<modality>.npy`` with
    one row an item for vectors (text: what the encoder of its captions gives), ``similarity.npy`` with a row and a
    column an item where the set learnt how alike its pairs are, and ``labels.csv`` with the columns item, label, class,
    files, caption. Several files or captions of an item are joined by `` | ``.

    Args:
        source: a run folder, an artifact's folder, or a set.
        out: the folder to make.
        to: one of :data:`TARGETS`.
        overwrite: replace an earlier export; any other folder that is not empty is refused all the same.

    Returns:
        ``out``.

    Raises:
        ConfigError: on an unknown target, or an ``out`` that must not be touched or cannot be written.
        FormatError: if ``source`` holds no synthetic set.
        NumericsError: if it holds values that are not finite.
    """
    if to not in TARGETS:
        raise ConfigError(f"cannot export to {to!r}", hint=nearest(to, TARGETS))
    path = Path(out)
    with writing_to(path):
        _check_target(path, overwrite)
    synthetic = source if isinstance(source, SyntheticSet) else SyntheticSet.load(source)
    with writing_to(path), new_folder(path) as folder:
        TARGETS[to](synthetic, folder)
    return path


def _check_target(path: Path, overwrite: bool) -> None:
    if path.exists() and not path.is_dir():
        raise ConfigError("is a file", where=path, hint="Name a folder.")
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / TABLE).exists():
        raise ConfigError("not empty, and no earlier export", where=path, hint="Name another folder.")
    if not overwrite:
        raise ConfigError("an earlier export is here", where=path, hint="Name another folder, or say --overwrite.")


def _to_folder(synthetic: SyntheticSet, folder: Path) -> None:
    import numpy as np
    import torch

    count = len(synthetic) * synthetic.factor**2
    digits = len(str(count - 1))
    files: list[list[str]] = [[] for _ in range(count)]
    vectors: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(synthetic), CHUNK):
        rows = torch.arange(start, min(start + CHUNK, len(synthetic)))
        with torch.no_grad():
            batch, _ = synthetic.decode(rows)
        # Decoded items are numbered as decode() returns the whole set: all first cells, then all second ones.
        cells = torch.arange(synthetic.factor**2)[:, None] * len(synthetic)
        numbers = (cells + rows).flatten().tolist()
        for name, modality in synthetic.modalities.items():
            if not torch.isfinite(batch[name]).all():
                raise NumericsError(f"{name} items {start} to {int(rows[-1])} hold values that are not finite")
            if not isinstance(modality, Audio | Image | Depth):
                vectors.setdefault(name, []).append(modality.denormalise(batch[name].cpu()).numpy())
                continue
            (folder / name).mkdir(exist_ok=True)
            suffix = ".wav" if isinstance(modality, Audio) else ".png"
            names = [f"{name}/{number:0{digits}d}{suffix}" for number in numbers]
            _write_media(modality, batch[name].cpu(), [folder / file for file in names])
            for number, file in zip(numbers, names, strict=True):
                files[number].append(file)
    for name, parts in vectors.items():
        np.save(folder / f"{name}.npy", np.concatenate(parts), allow_pickle=False)
    if synthetic.similarity is not None:
        alike = synthetic.similarity.full().detach().cpu()
        if not torch.isfinite(alike).all():
            raise NumericsError("the similarity holds values that are not finite")
        np.save(folder / "similarity.npy", alike.numpy(), allow_pickle=False)
    _write_table(synthetic, files, folder / TABLE)


def _write_media(modality: Modality, values: Tensor, paths: list[Path]) -> None:
    from PIL import Image as Pillow

    from limbeck.modalities.wav import wav_bytes

    if isinstance(modality, Audio):
        for path, samples in zip(paths, modality.waveform(values), strict=True):
            path.write_bytes(wav_bytes(samples.numpy(), modality.sample_rate))
        return
    for path, item in zip(paths, modality.to_stored(modality.denormalise(values)).numpy(), strict=True):
        Pillow.fromarray(item[0] if len(item) == 1 else item.transpose(1, 2, 0).copy()).save(path)


def _write_table(synthetic: SyntheticSet, files: list[list[str]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["item", "label", "class", "files", "caption"])
        captions = synthetic.decoded_captions or [()] * len(files)
        for item, (names, words) in enumerate(zip(files, captions, strict=True)):
            label = None if synthetic.labels is None else int(synthetic.labels[item % len(synthetic)])
            title = "" if label is None else synthetic.classes[label]
            table.writerow([item, "" if label is None else label, title, " | ".join(names), " | ".join(words)])


TARGETS: dict[str, Callable[[SyntheticSet, Path], None]] = {"folder": _to_folder}
"""What a set can be exported to."""
