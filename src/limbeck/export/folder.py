"""Plain files: pictures, sounds, vectors and a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.export.items import items, suffix
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TABLE", "write"]

TABLE = "labels.csv"


def write(synthetic: SyntheticSet, folder: Path) -> None:
    """Fill ``folder``; what with is said in :func:`limbeck.export.export`."""
    import numpy as np

    digits = len(str(len(synthetic) * synthetic.factor**2 - 1))
    vectors: dict[str, list[np.ndarray[Any, Any]]] = {}
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["item", "label", "class", "files", "caption"])
        for item in items(synthetic):
            names = []
            for name, data in item.media.items():
                names.append(f"{name}/{item.number:0{digits}d}.{suffix(synthetic.modalities[name])}")
                (folder / name).mkdir(exist_ok=True)
                (folder / names[-1]).write_bytes(data)
            for name, vector in item.vectors.items():
                vectors.setdefault(name, []).append(vector)
            title = "" if item.label is None else synthetic.classes[item.label]
            label = "" if item.label is None else item.label
            table.writerow([item.number, label, title, " | ".join(names), " | ".join(item.captions or ())])
    for name, rows in vectors.items():
        np.save(folder / f"{name}.npy", np.stack(rows), allow_pickle=False)
