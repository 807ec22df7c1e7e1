"""A finished set kept in fewer bytes: a run again, beside the one it was made from."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from limbeck.config import settings_hash
from limbeck.errors import ConfigError
from limbeck.files import new_folder, read_json, write_json, writing_to
from limbeck.synthetic.set import SyntheticSet
from limbeck.synthetic.storage import known_storage

__all__ = ["pack"]

COPIED = ("initial", "metrics.jsonl", "validation.json")
"""Of a run's folder: what was true of its steps is true of these."""


def pack(source: str | Path, out: str | Path, *, storage: str) -> SyntheticSet:
    """Keep the set of a run or an artifact as ``storage`` in a new folder of the same kind.

    A run becomes a run with a hash of its own and another ``storage`` among its settings, so that comparisons tell the
    two apart; its scores stay behind. What is stored so already is copied and stays the run it was.

    Args:
        source: a run's folder or an artifact's.
        out: the new folder.
        storage: "fp32", "fp16" or "uint8", see :mod:`limbeck.synthetic.storage`.

    Raises:
        ConfigError: another storage; a set that is rounded already, or whose items are counted as they ship; ``out``
            holds something.
        NumericsError: values that ``storage`` cannot hold. FormatError: no finished set at ``source``.
    """
    kind, here, there = known_storage(storage), Path(source), Path(out)
    synthetic = SyntheticSet.load(here)
    _refuse(synthetic, kind, here, there)
    packed = synthetic.stored_as(kind)
    if packed.storage != synthetic.storage:
        packed.provenance = _provenance(synthetic, kind)
    with writing_to(there), new_folder(there) as folder:
        if not (here / "config.json").exists():
            packed.save(folder / "artifact")
            for file in (folder / "artifact").iterdir():
                file.rename(folder / file.name)
            (folder / "artifact").rmdir()
            return packed
        for name in COPIED:
            _copy(here / name, folder / name)
        packed.save(folder / "synthetic")
        about = read_json(here / "run.json") if (here / "run.json").exists() else {}
        if packed.provenance is not synthetic.provenance:
            about |= {key: packed.provenance[other] for key, other in (("hash", "run_hash"), ("packed", "packed"))}
        write_json(folder / "run.json", about)
        write_json(folder / "config.json", {**read_json(here / "config.json"), "storage": kind})
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        (folder / "log").write_text(f"{stamp} packed as {kind}: {here}\n", encoding="utf-8")
    return packed


def _refuse(synthetic: SyntheticSet, kind: str, source: Path, out: Path) -> None:
    now = sorted(set(synthetic.storage.values()) - {kind, "fp32"})
    if now or (kind == "fp32" and set(synthetic.storage.values()) != {"fp32"}):
        what = f"its values are rounded already, to {', '.join(now)}"
        raise ConfigError(what, where=source, hint="Pack the run that it was made from.")
    if "bytes" in synthetic.provenance and kind != "fp32":
        what = "its real items are counted in the form their media ship in"
        raise ConfigError(what, where=source, hint="Only sets of another budget than --bytes are packed.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError("there is something here already", where=out, hint="Choose another --out.")


def _provenance(synthetic: SyntheticSet, kind: str) -> dict[str, Any]:
    """What the packed set says of where it comes from."""
    before = synthetic.provenance
    settings = before.get("settings")
    told = {"settings": {**settings, "storage": kind}} if isinstance(settings, dict) else {}
    packed = {"from": before.get("run_hash"), "storage": kind}
    made_of = before.get("run_hash") or before  # what was imported has no hash, and others of it pack to other runs
    return {**before, **told, "run_hash": settings_hash(made_of, packed), "packed": packed}


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy2(source, target)
