"""WebDataset: tar shards whose neighbouring files of one key are one sample.

``<key>.png``, ``.wav`` and ``.npy`` hold the modalities (``<key>.<modality>.png`` where two would have one name),
``.cls`` the label as a number, ``.txt`` the captions, one a line, and ``.json`` item, label, class and captions. Equal
sets give equal shards to the byte.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from limbeck.errors import MissingDependencyError
from limbeck.export.items import Item, items, suffix
from limbeck.synthetic import SyntheticSet

__all__ = ["extensions", "write"]


def write(synthetic: SyntheticSet, folder: Path) -> None:
    """Fill ``folder`` with shards of at most 3 GB. Raises MissingDependencyError without the package webdataset."""
    try:
        from webdataset import ShardWriter
    except ImportError as error:
        raise MissingDependencyError(
            "webdataset is not installed", hint="pip install 'limbeck[webdataset]', or export to another form."
        ) from error
    names = extensions(synthetic)
    # the pattern is filled in by %, so a folder's own % is doubled
    pattern = str(folder.resolve()).replace("%", "%%") + "/shard-%06d.tar"
    owner: dict[str, Any] = {"user": "limbeck", "group": "limbeck", "mtime": 0}
    with ShardWriter(pattern, maxcount=1 << 30, maxsize=3e9, verbose=0, encoder=False, **owner) as shards:
        for item in items(synthetic):
            shards.write(_sample(item, synthetic, names))


def extensions(synthetic: SyntheticSet) -> dict[str, str]:
    """By modality what its files in a sample are called after the key."""
    kinds = {name: suffix(modality) for name, modality in synthetic.modalities.items()}
    alone = {kind for kind in kinds.values() if list(kinds.values()).count(kind) == 1}
    return {name: kind if kind in alone else f"{name}.{kind}" for name, kind in kinds.items()}


def _sample(item: Item, synthetic: SyntheticSet, names: dict[str, str]) -> dict[str, Any]:
    about: dict[str, Any] = {"item": item.number}
    sample: dict[str, Any] = {"__key__": f"{item.number:06d}"}
    for name in names:
        sample[names[name]] = item.media[name] if name in item.media else _npy(item.vectors[name])
    if item.label is not None:
        about |= {"label": item.label, "class": synthetic.classes[item.label]}
        sample["cls"] = str(item.label).encode()
    if item.captions is not None:
        about["captions"] = list(item.captions)
        sample["txt"] = "\n".join(" ".join(words.splitlines()) for words in item.captions).encode()
    sample["json"] = json.dumps(about, ensure_ascii=False).encode()
    return sample


def _npy(vector: Any) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, vector, allow_pickle=False)
    return buffer.getvalue()
