"""The artifact: a folder of two files that is all anyone needs to use a synthetic set.

``synthetic.safetensors`` holds the numbers, ``synthetic.json`` everything else: modalities with their normalisation,
classes, captions, factor, provenance, the hash of the numbers and a hash of itself. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from limbeck.errors import FormatError, LimbeckError
from limbeck.files import canonical, digest_file, new_folder, read_json, write_json
from limbeck.modalities import modality_from_dict

if TYPE_CHECKING:
    from limbeck.synthetic.set import SyntheticSet

__all__ = ["load", "save"]

FORMAT, VERSION = "limbeck-synthetic", 1
TENSORS, MANIFEST = "synthetic.safetensors", "synthetic.json"
Set = TypeVar("Set", bound="SyntheticSet")


def save(synthetic: SyntheticSet, path: Path) -> Path:
    """Write the artifact; a reader sees the old folder or the new one."""
    from safetensors.torch import save_file

    tensors = {f"value.{name}": value.detach().cpu().contiguous() for name, value in synthetic.values.items()}
    if synthetic.labels is not None:
        tensors["labels"] = synthetic.labels.cpu().contiguous()
    with new_folder(path) as folder:
        save_file(tensors, folder / TENSORS)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "modalities": [m.to_dict() for m in synthetic.modalities.values()],
            "classes": list(synthetic.classes),
            "captions": None if synthetic.captions is None else [list(c) for c in synthetic.captions],
            "factor": synthetic.factor,
            "items": len(synthetic),
            "provenance": synthetic.provenance,
            "tensors_sha256": digest_file(folder / TENSORS),
        }
        manifest["sha256"] = _digest(manifest)
        write_json(folder / MANIFEST, manifest)
    return path


def load(cls: type[Set], path: Path) -> Set:
    """Read and check an artifact; ``path`` may be a run folder. Raises FormatError naming the file and what is wrong
    with it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = path if (path / MANIFEST).exists() else path / "synthetic"
    if not (folder / MANIFEST).exists():
        unfinished = (path / "checkpoint").exists()
        raise FormatError(
            "no finished synthetic set is here" if unfinished else "not a synthetic set or a run",
            where=path,
            hint="Finish the run with --resume."
            if unfinished
            else f"A synthetic set is a folder with {MANIFEST} in it.",
        )
    manifest = read_json(folder / MANIFEST)
    _check_manifest(manifest, folder / MANIFEST)
    tensors_file = folder / TENSORS
    if not tensors_file.exists():
        raise FormatError("there is no such file", where=tensors_file, hint="Copy the whole folder.")
    if digest_file(tensors_file) != manifest["tensors_sha256"]:
        raise FormatError(
            "truncated or edited: its hash is not the recorded one", where=tensors_file, hint="Copy it anew."
        )
    try:
        tensors = load_file(tensors_file)
        modalities = [modality_from_dict(m, where=folder / MANIFEST) for m in manifest["modalities"]]
        captions = manifest["captions"]
        return cls(
            modalities={m.name: m for m in modalities},
            values={m.name: tensors[f"value.{m.name}"].float() for m in modalities},
            labels=tensors.get("labels"),
            classes=tuple(manifest["classes"]),
            captions=None if captions is None else [tuple(c) for c in captions],
            factor=manifest["factor"],
            provenance=manifest["provenance"],
        )
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise FormatError(f"does not hold a synthetic set ({error!r})", where=folder) from error
    except LimbeckError as error:
        raise FormatError(error.what, where=folder, hint=error.hint) from error


def _check_manifest(manifest: dict[str, Any], where: Path) -> None:
    if manifest.get("format") != FORMAT:
        raise FormatError(f"not a {FORMAT} file", where=where)
    if not isinstance(manifest.get("version"), int) or manifest["version"] > VERSION:
        raise FormatError(
            f"version {manifest.get('version')!r} is newer than {VERSION}", where=where, hint="Update limbeck."
        )
    recorded = manifest.get("sha256")
    if recorded != _digest({k: v for k, v in manifest.items() if k != "sha256"}):
        raise FormatError("truncated or edited: its hash is not the recorded one", where=where, hint="Copy it anew.")


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(manifest).encode()).hexdigest()
