"""The artifact: a folder of two files that is all anyone needs to use a synthetic set.

``synthetic.safetensors`` holds the numbers, ``synthetic.json`` everything else: modalities with their normalisation,
classes, captions, factor, provenance, the hash of the numbers and a hash of itself. Nothing is pickled.

An older reader says that it is too new for what it does not know, instead of leaving it out: a set that is kept in half
precision or in bytes is of version 3, one with a learnt similarity of version 2, every other set of version 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from limbeck.errors import ConfigError, FormatError, LimbeckError, NumericsError
from limbeck.files import digest_file, digest_of, new_folder, read_json, write_json
from limbeck.modalities import modality_from_dict
from limbeck.modalities.base import whole
from limbeck.synthetic.similarity import Factors, Similarity
from limbeck.synthetic.storage import DTYPES, STORAGES, Stored, parts_of

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.synthetic.set import SyntheticSet

__all__ = ["load", "save"]

FORMAT, PLAIN, LEARNT, VERSION = "limbeck-synthetic", 1, 2, 3
TENSORS, MANIFEST = "synthetic.safetensors", "synthetic.json"
KEYS = {"modalities", "classes", "captions", "factor", "items", "provenance", "tensors_sha256", "sha256"}
ALIKE = "similarity."
Set = TypeVar("Set", bound="SyntheticSet")


def save(synthetic: SyntheticSet, path: Path) -> Path:
    """Write the artifact; a reader sees the old folder or the new one.

    Raises:
        NumericsError: if a value is not finite; then nothing is written.
        ConfigError: if names, captions or provenance are nothing JSON can hold, or values were changed after they were
            rounded to what is kept.
    """
    from safetensors.torch import save_file

    learnt = {f"value.{name}": value for name, value in synthetic.values.items()}
    if synthetic.similarity is not None:
        learnt |= {ALIKE + name: value for name, value in synthetic.similarity.factors._asdict().items()}
    for name, value in learnt.items():
        if not value.isfinite().all():
            what = name.removeprefix("value.")
            raise NumericsError(f"{what} has values that are not finite, so nothing is written", where=path)
    _refuse_changed(synthetic, path)
    learnt |= parts_of(synthetic.stored)
    tensors = {name: value.detach().cpu().contiguous() for name, value in learnt.items()}
    if synthetic.labels is not None:
        tensors["labels"] = synthetic.labels.cpu().contiguous()
    with new_folder(path) as folder:
        save_file(tensors, folder / TENSORS)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION if synthetic.stored else PLAIN if synthetic.similarity is None else LEARNT,
            "modalities": [m.to_dict() for m in synthetic.modalities.values()],
            "classes": list(synthetic.classes),
            "captions": synthetic.captions,
            "factor": synthetic.factor,
            "items": len(synthetic),
            "provenance": synthetic.provenance,
            "tensors_sha256": digest_file(folder / TENSORS),
        }
        if synthetic.similarity is not None:
            manifest["similarity"] = {"alpha": synthetic.similarity.alpha}
        if synthetic.stored:
            manifest["storage"] = synthetic.storage
        try:
            manifest["sha256"] = _digest(manifest)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the set has words or settings that JSON cannot hold ({error})", where=path) from error
        write_json(folder / MANIFEST, manifest)
    return path


def _refuse_changed(synthetic: SyntheticSet, path: Path) -> None:
    import torch

    for name, kept in synthetic.stored.items():
        if not torch.equal(kept.values(), synthetic.values[name].detach().cpu()):
            what = f"{name} has other values than those it was stored as {kept.kind} with"
            raise ConfigError(what, where=path, hint="Call stored_as once its values are what they should be.")


def load(cls: type[Set], path: Path) -> Set:
    """Read and check an artifact; ``path`` may be a run folder. Raises FormatError naming the file and what is wrong
    with it."""
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
    where = folder / MANIFEST
    storage = _storage(manifest, where)
    tensors = _tensors(folder / TENSORS, manifest["tensors_sha256"], storage)
    try:
        stored = {name: _stored(name, tensors, kind) for name, kind in storage.items() if kind != "fp32"}
        modalities = [modality_from_dict(m, where=where) for m in manifest["modalities"]]
        found = cls(
            modalities={m.name: m for m in modalities},
            values={
                m.name: stored[m.name].values() if m.name in stored else tensors[f"value.{m.name}"] for m in modalities
            },
            labels=tensors.get("labels"),
            classes=_tuples(manifest["classes"]),
            captions=None if manifest["captions"] is None else [_tuples(c) for c in manifest["captions"]],
            factor=manifest["factor"],
            provenance=manifest["provenance"],
            similarity=_similarity(manifest, tensors),
            stored=stored,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"does not hold a synthetic set ({error!r})", where=where) from error
    except LimbeckError as error:
        raise FormatError(error.what, where=where, hint=error.hint) from error
    known = [f"value.{m.name}" for m in modalities if m.name not in stored] + list(parts_of(stored))
    known += [ALIKE + name for name in Factors._fields] if found.similarity is not None else []
    if sorted(known) != sorted(tensors.keys() - {"labels"}) or len(found) != manifest["items"]:
        raise FormatError(f"its modalities or items are not those of {TENSORS}", where=where)
    return found


def _check_manifest(manifest: dict[str, Any], where: Path) -> None:
    if manifest.get("format") != FORMAT:
        raise FormatError(f"not a {FORMAT} file", where=where)
    version: Any = manifest.get("version")
    if not whole(version):
        raise FormatError(f"has no version, but {version!r}", where=where)
    if version > VERSION:
        raise FormatError(f"version {version!r} is newer than {VERSION}", where=where, hint="Update limbeck.")
    if missing := sorted(KEYS - manifest.keys()):
        raise FormatError(f"lacks {', '.join(missing)}", where=where)
    try:
        digest = _digest({k: v for k, v in manifest.items() if k != "sha256"})
    except (ValueError, RecursionError) as error:  # lone surrogates, NaN, depth
        raise FormatError(f"holds what is not JSON ({error})", where=where) from error
    if manifest["sha256"] != digest:
        raise FormatError("truncated or edited: its hash is not the recorded one", where=where, hint="Copy it anew.")


def _storage(manifest: dict[str, Any], where: Path) -> dict[str, str]:
    """What version 3 adds: by modality how it is kept."""
    if manifest["version"] < VERSION:
        return {}
    storage = manifest.get("storage")
    listed = manifest["modalities"] if isinstance(manifest["modalities"], list) else []
    named = [m.get("name") for m in listed if isinstance(m, dict)]
    if not isinstance(storage, dict) or not all(m in named and kind in STORAGES for m, kind in storage.items()):
        raise FormatError(f"its storage is not one of {', '.join(STORAGES)} by modality: {storage!r}", where=where)
    return storage


def _stored(name: str, tensors: dict[str, Tensor], kind: str) -> Stored:
    """KeyError or a LimbeckError where the parts are not those of ``kind``."""
    codes = tensors[f"value.{name}"]
    return Stored(codes) if kind == "fp16" else Stored(codes, tensors[f"scale.{name}"], tensors[f"offset.{name}"])


def _tensors(path: Path, digest: object, storage: dict[str, str]) -> dict[str, Tensor]:
    """The numbers, of the type that ``storage`` says and finite, beside them the labels."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise FormatError("there is no such file", where=path, hint="Copy the whole folder.")
    try:
        if digest_file(path) != digest:
            raise FormatError("truncated or edited: its hash is not the recorded one", where=path, hint="Copy it anew.")
        tensors = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise FormatError(f"not readable as safetensors ({error})", where=path) from error
    for name, value in tensors.items():
        wanted = DTYPES[storage.get(name.removeprefix("value."), "fp32") if name.startswith("value.") else "fp32"]
        if name != "labels" and str(value.dtype) != wanted:
            raise FormatError(f"{name} is {value.dtype}, not {wanted.removeprefix('torch.')}", where=path)
        if not value.isfinite().all():
            raise FormatError(f"{name} has values that are not finite", where=path)
    return tensors


def _similarity(manifest: dict[str, Any], tensors: dict[str, Tensor]) -> Similarity | None:
    """What version 2 adds; KeyError, TypeError or a LimbeckError where it is not one."""
    if manifest["version"] == PLAIN or (manifest["version"] == VERSION and "similarity" not in manifest):
        return None
    factors = Factors(*(tensors[ALIKE + name] for name in Factors._fields))
    return Similarity(factors, manifest["similarity"]["alpha"])


def _tuples(value: object) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _digest(manifest: dict[str, Any]) -> str:
    return digest_of(manifest)
