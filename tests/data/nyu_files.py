"""Small files of the structure of NYU-v2's labelled part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

LABELED = "nyu_depth_v2_labeled.mat"
TYPES = ("kitchen", "living_room", "kitchen", "cafe", "living_room", "cafe")
WIDTH, HEIGHT = 8, 6


def pictures(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(N, H, W, 3) uint8 and (N, H, W) metres: every frame, row and column has numbers of its own."""
    n, y, x = np.ogrid[:count, :HEIGHT, :WIDTH]
    rgb = np.stack([30 * n + 0 * y + 0 * x, 0 * n + 20 * y + 0 * x, 0 * n + 0 * y + 15 * x], axis=-1).astype(np.uint8)
    return rgb, (1 + n + 0.1 * y + 0.01 * x).astype(np.float32)


def text_cells(file: Any, name: str, texts: tuple[str, ...]) -> None:
    """A cell array as MATLAB writes one: references to columns of UTF-16."""
    import h5py

    cells = file.create_dataset(name, (1, len(texts)), dtype=h5py.ref_dtype)
    for k, text in enumerate(texts):
        codes = np.frombuffer(text.encode("utf-16-le"), np.uint16)[:, None]
        cells[0, k] = file.create_dataset(f"#refs#/{name}{k}", data=codes).ref


def write_mat(folder: Path, types: tuple[str, ...] = TYPES, **changes: Any) -> Path:
    """``changes``: other arrays by name; None leaves one out."""
    import h5py

    rgb, metres = pictures(len(types))
    arrays = {"images": rgb.transpose(0, 3, 2, 1), "depths": metres.transpose(0, 2, 1), **changes}
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / LABELED, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array)
        text_cells(file, "sceneTypes", types)
        text_cells(file, "scenes", tuple(f"{scene}_{k // 2:04d}" for k, scene in enumerate(types)))
    return folder / LABELED


def write_splits(folder: Path, train: list[Any], test: list[Any]) -> None:
    from scipy.io import savemat

    columns = {"trainNdxs": np.array(train)[:, None], "testNdxs": np.array(test)[:, None]}
    savemat(folder / "splits.mat", columns)
