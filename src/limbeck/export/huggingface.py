"""Hugging Face ``datasets``: a folder that ``load_dataset`` takes, here or uploaded, with its card.

``data/train-00000-of-00001.parquet`` has a row an item: ``item``, a column a modality (``Image``, ``Audio``, or
a list of float32), ``label`` (``ClassLabel``) and ``captions`` (a list of strings). Pictures and sounds lie in it as
the bytes of PNG and WAV files, so that writing it decodes nothing; ``datasets`` needs torchcodec to decode sounds.
"""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.errors import MissingDependencyError
from limbeck.export.items import CHUNK, Item, items
from limbeck.modalities import Audio, Depth, Image
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from datasets import Features

__all__ = ["DATA", "features", "write"]

DATA = "data/train-00000-of-00001.parquet"


def write(synthetic: SyntheticSet, folder: Path) -> None:
    """Fill ``folder``. Raises MissingDependencyError without the package datasets."""
    schema = features(synthetic).arrow_schema  # it carries the features, which load_dataset reads back
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    path = folder / DATA
    path.parent.mkdir()
    with ParquetWriter(path, schema) as parquet:
        every = items(synthetic)
        while rows := [_row(item) for item in islice(every, CHUNK)]:
            parquet.write_table(pa.Table.from_pylist(rows, schema=schema))


def features(synthetic: SyntheticSet) -> Features:
    """The columns' types. Raises MissingDependencyError without the package datasets."""
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "datasets is not installed", hint="pip install 'limbeck[hf]', or export to another form."
        ) from error
    found: dict[str, Any] = {"item": datasets.Value("int64")}
    for name, modality in synthetic.modalities.items():
        if isinstance(modality, Audio):
            found[name] = datasets.Audio(sampling_rate=modality.sample_rate)
        elif isinstance(modality, Image | Depth):
            found[name] = datasets.Image()
        else:
            found[name] = datasets.Sequence(datasets.Value("float32"), length=modality.shape[0])
    if synthetic.labels is not None:
        found["label"] = datasets.ClassLabel(names=list(synthetic.classes))
    if synthetic.captions is not None:
        found["captions"] = datasets.Sequence(datasets.Value("string"))
    return datasets.Features(found)


def _row(item: Item) -> dict[str, Any]:
    row: dict[str, Any] = {"item": item.number, "label": item.label, "captions": item.captions}
    for name, value in chain(item.media.items(), item.vectors.items()):
        row[name] = {"bytes": value, "path": None} if isinstance(value, bytes) else value
    return row
