"""A synthetic set to take away: in forms that other programs read, each with a card that says what it is."""

from __future__ import annotations

import importlib
from pathlib import Path

from limbeck.errors import ConfigError, nearest
from limbeck.files import new_folder, read_json, write_json, writing_to
from limbeck.synthetic import SyntheticSet

__all__ = ["TARGETS", "export"]

TARGETS = {
    "folder": "PNG, WAV, NPY and labels.csv",
    "webdataset": "tar shards of samples, as the package webdataset reads them",
    "huggingface": "Parquet that the package datasets loads with pictures and sounds in it",
    "ddranking": "the tensor files that DD-Ranking scores",
}
"""What a set can be exported to: a file of this folder each, whose ``write`` fills a folder."""

MARK = "export.json"
FORMAT = "limbeck-export"
TAKEN = frozenset(("item", "captions", "similarity", "synthetic"))
"""What exports call something else."""


def export(source: str | Path | SyntheticSet, out: str | Path, to: str = "folder", *, overwrite: bool = False) -> Path:
    """Write the decoded items of a synthetic set, all of them, or nothing. Nothing leaves the machine.

    Pictures are PNG (depth: 16-bit millimetres), sounds are WAV (mono, 16 bit, the spectrogram turned back by
    Griffin-Lim, clips one after the other), vectors are float32 (text: what the encoder of its captions gives). Items
    are in the order of :meth:`SyntheticSet.decode`.

    - ``folder``: ``<modality>/<item>.png`` and ``.wav``, ``<modality>.npy`` with one row an item, and ``labels.csv``
      with the columns item, label, class, files, caption; several files or captions of an item are joined by `` | ``.
    - ``webdataset``: ``shard-000000.tar``; see :mod:`limbeck.export.webdataset`.
    - ``huggingface``: ``data/train-00000-of-00001.parquet``; see :mod:`limbeck.export.huggingface`.
    - ``ddranking``: ``images.pt`` and ``labels.pt``; see :mod:`limbeck.export.ddranking`.

    Each holds besides: ``README.md`` (the card), ``synthetic/`` (the artifact itself, which :func:`limbeck.load`
    takes), ``similarity.npy`` with a row and a column an item where the set learnt how alike its pairs are, and
    ``export.json``.

    Args:
        source: a run folder, an artifact's folder, or a set. Scores on the card are those of a run folder.
        out: the folder to make.
        to: one of :data:`TARGETS`.
        overwrite: replace an earlier export; any other folder that is not empty is refused all the same.

    Returns:
        ``out``.

    Raises:
        ConfigError: on an unknown target, a set it cannot hold, or an ``out`` that must not be touched or cannot be
            written.
        FormatError: if ``source`` holds no synthetic set, or scores that are none.
        MissingDependencyError: if the package that writes the target is not installed.
        NumericsError: if the set holds values that are not finite.
    """
    from limbeck.export.card import write_card

    if to not in TARGETS:
        raise ConfigError(f"cannot export to {to!r}", hint=nearest(to, TARGETS))
    path = Path(out)
    with writing_to(path):
        _check_target(path, overwrite)
    run = None if isinstance(source, SyntheticSet) else Path(source)
    synthetic = source if isinstance(source, SyntheticSet) else SyntheticSet.load(source)
    if taken := TAKEN & set(synthetic.modalities):
        raise ConfigError(f"exports call something else {min(taken)!r}", hint="Give that modality another name.")
    writer = importlib.import_module(f"limbeck.export.{to}")
    with writing_to(path), new_folder(path) as folder:
        synthetic.save(folder / "synthetic")  # first: it refuses values that are not finite
        writer.write(synthetic, folder)
        _write_similarity(synthetic, folder)
        write_card(synthetic, folder, to, run)
        write_json(folder / MARK, {"format": FORMAT, "version": 1, "to": to})
    return path


def _check_target(path: Path, overwrite: bool) -> None:
    if path.exists() and not path.is_dir():
        raise ConfigError("is a file", where=path, hint="Name a folder.")
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / MARK).is_file() or read_json(path / MARK).get("format") != FORMAT:
        raise ConfigError("not empty, and no earlier export", where=path, hint="Name another folder.")
    if not overwrite:
        raise ConfigError("an earlier export is here", where=path, hint="Name another folder, or say --overwrite.")


def _write_similarity(synthetic: SyntheticSet, folder: Path) -> None:
    import numpy as np

    if synthetic.similarity is not None:
        np.save(folder / "similarity.npy", synthetic.similarity.full().detach().cpu().numpy(), allow_pickle=False)
