"""``store.json``: what a store says about itself, and whether it can be believed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import DataError, FormatError, LimbeckError
from limbeck.files import digest_of, read_json, write_json
from limbeck.modalities import Modality, modality_from_dict

__all__ = [
    "CAPTION_VECTORS",
    "FORMAT",
    "NAME",
    "SPLITS",
    "VERSION",
    "array_plan",
    "content_hash",
    "modalities_of",
    "read_meta",
    "write_meta",
]

FORMAT, VERSION = "limbeck-store", 1
SPLITS = ("train", "validation", "test")
CAPTION_VECTORS = "index.captions_vectors.npy"
"""Of a store of embeddings: what its captions embed as."""
SIZES = {"ids_bytes", "captions", "captions_bytes"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What a modality may be called: its name is a file's name, so it can never lead out of the folder."""


def content_hash(modalities: Sequence[Modality], classes: Sequence[str], hashes: Mapping[str, str]) -> str:
    """What identifies the data: arrays, labels, splits, ids, captions and normalisation; not where they came from."""
    return digest_of({"arrays": hashes, "classes": list(classes), "modalities": [m.to_dict() for m in modalities]})


def array_plan(
    modalities: Sequence[Modality], items: int, sizes: Mapping[str, int]
) -> dict[str, tuple[tuple[int, ...], str]]:
    """File -> (shape, type) of everything a store of ``items`` items holds."""
    plan: dict[str, tuple[tuple[int, ...], str]] = {f"{m.name}.npy": ((items, *m.shape), m.dtype) for m in modalities}
    plan["index.labels.npy"] = ((items,), "int64")
    plan["index.splits.npy"] = ((items,), "uint8")
    plan["index.ids.npy"] = ((sizes["ids_bytes"],), "uint8")
    plan["index.ids_offsets.npy"] = ((items + 1,), "int64")
    plan["index.captions.npy"] = ((sizes["captions_bytes"],), "uint8")
    plan["index.captions_offsets.npy"] = ((sizes["captions"] + 1,), "int64")
    plan["index.captions_items.npy"] = ((items + 1,), "int64")
    if "captions_width" in sizes:
        plan[CAPTION_VECTORS] = ((sizes["captions"], sizes["captions_width"]), "float32")
    return plan


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "format": str,
    "version": int,
    "name": str,
    "items": int,
    "sizes": dict,
    "modalities": list,
    "classes": list,
    "settings": dict,
    "skipped": list,
    "hashes": dict,
    "sampled": dict,
    "data_hash": str,
    "seal": str,
}


def write_meta(
    file: Path, modalities: Sequence[Modality], hashes: Mapping[str, str], sampled: Mapping[str, str], **fields: Any
) -> None:
    """Write and seal store.json; ``fields``: the others of a store, as :func:`read_meta` gives them back."""
    meta = {
        "format": FORMAT,
        "version": VERSION,
        **fields,
        "modalities": [m.to_dict() for m in modalities],
        "hashes": hashes,
        "sampled": sampled,
        "data_hash": content_hash(modalities, fields["classes"], hashes),
    }
    meta = json.loads(json.dumps(meta))
    write_json(file, {**meta, "seal": digest_of(meta)})


def read_meta(folder: Path) -> dict[str, Any]:
    """store.json, checked field by field and against its own seal.

    Raises DataError where there is no store, FormatError where it is not what it claims to be.
    """
    file = folder / "store.json"
    if not file.is_file():
        hint = "Make one with `limbeck prepare`."
        if folder.with_name(folder.name + ".partial").is_dir():
            hint = "Its preparation was interrupted: run the same `limbeck prepare` again to finish it."
        raise DataError("no store here", where=folder, hint=hint)
    meta = read_json(file)
    if meta.get("format") != FORMAT:
        raise FormatError("is not a Limbeck store", where=file)
    if not isinstance(meta.get("version"), int) or meta["version"] > VERSION:
        hint = "Update limbeck, or prepare the store again."
        raise FormatError(
            f"format version {meta.get('version')!r}; this limbeck reads up to {VERSION}", where=file, hint=hint
        )
    for key, kind in _FIELDS.items():
        if not isinstance(meta.get(key), kind) or isinstance(meta[key], bool):
            raise FormatError(f"field {key!r} is missing or of the wrong type", where=file)
    sizes = meta["sizes"]
    if set(sizes) - {"captions_width"} != SIZES or not all(_count(v) for v in sizes.values()):
        raise FormatError("field 'sizes' is not what it should be", where=file)
    if not _count(meta["items"]) or meta["items"] == 0 or not all(isinstance(c, str) for c in meta["classes"]):
        raise FormatError("field 'items' or 'classes' is not what it should be", where=file)
    seal = meta.pop("seal")
    try:
        sound = seal == digest_of(meta)
    except ValueError:  # NaN, or half a character: nothing this program writes
        sound = False
    if not sound:
        raise FormatError("was edited since it was written", where=file, hint="Prepare the store again.")
    return meta


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48


def modalities_of(meta: Mapping[str, Any], where: Path) -> list[Modality]:
    found = []
    for entry in meta["modalities"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not NAME.fullmatch(entry["name"]):
            raise FormatError("a modality's name may hold a-z, 0-9 and _ only", where=where)
        shape = entry.get("shape")
        if not isinstance(shape, list) or not shape or not all(_count(n) and n > 0 for n in shape):
            raise FormatError(f"modality {entry['name']!r} has no valid shape", where=where)
        try:
            modality = modality_from_dict(entry, where)
        except LimbeckError as error:
            raise FormatError(error.what, where=where, hint=error.hint) from error
        found.append(modality)
    if not found or len({m.name for m in found}) != len(found):
        raise FormatError("its modalities need different names", where=where)
    return found
