"""SUN RGB-D's layout, and its two real frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.data import READERS
from limbeck.data.prepare import prepare
from limbeck.data.rows import BadRow, Row
from limbeck.data.settings import PrepareSettings
from limbeck.errors import DataError


def rotated(millimetres: int) -> int:
    """As SUN RGB-D stores a depth: its bits rotated by three to the left."""
    return ((millimetres << 3) | (millimetres >> 13)) & 0xFFFF


def frame(folder: Path, scene: str, *, filled: int = 0, raw: int = 0) -> Path:
    for name, value in (("depth_bfx", filled), ("depth", raw)):
        if value:
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 8), rotated(value), np.uint16)).save(folder / name / "0001.png")
    (folder / "image").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (10, 20, 30)).save(folder / "image" / "0001.jpg")
    (folder / "scene.txt").write_text(scene)
    return folder


def listed(root: Path, **settings: Any) -> list[Row | BadRow]:
    return list(READERS["sunrgbd"](root, PrepareSettings(**settings)).rows())


def splits(rows: list[Row | BadRow]) -> dict[str, str | None]:
    return {row.id: row.split for row in rows if isinstance(row, Row)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "SUNRGBD"
    frame(top / "kv1" / "NYUdata" / "NYU0001", "living_room", filled=9000, raw=100)
    frame(top / "kv2" / "align" / "b", "office\n", raw=8191)
    frame(top / "kv2" / "align" / "a", "office", filled=8192)
    return top


def test_frames_of_every_sensor_are_found_and_their_bits_turned_back(root: Path, tmp_path: Path) -> None:
    settings = PrepareSettings(image_size=4, text_width=16)
    store = prepare("sunrgbd", root, tmp_path / "s", settings=settings, workers=1, progress=False)
    assert list(store.ids) == ["kv1-NYUdata-NYU0001", "kv2-align-a", "kv2-align-b"]
    assert store.classes == ("living room", "office")
    assert store.captions[2] == ("office",)
    assert store.settings["text_is_label"] is True
    assert [store.stored("depth", [k]).unique().tolist() for k in range(3)] == [[9000], [8192], [8191]]


def test_without_a_split_file_all_is_train_and_splits_are_carved(root: Path, tmp_path: Path) -> None:
    assert set(splits(listed(root)).values()) == {None}
    settings = PrepareSettings(image_size=4, text_width=16, test=0.5, classes=("office",))
    store = prepare("sunrgbd", root, tmp_path / "s", settings=settings, workers=1, progress=False)
    assert store.summary()["splits"] == {"train": 1, "test": 1}


def test_lists_of_folders(root: Path) -> None:
    (root / "train.txt").write_text("kv1/NYUdata/NYU0001\n/n/fs/sun3d/data/SUNRGBD/kv2/align/a\n")
    rows = listed(root)
    assert splits(rows) == {"kv1-NYUdata-NYU0001": "train", "kv2-align-a": "train"}
    assert [(row.id, row.fatal) for row in rows if isinstance(row, BadRow)] == [("kv2-align-b", False)]


def test_the_official_split(root: Path) -> None:
    from scipy.io import savemat

    def cells(*names: str) -> np.ndarray[Any, Any]:
        return np.array([[f"/n/fs/sun3d/data/SUNRGBD/{name}" for name in names]], dtype=object)

    first, second = "kv1/NYUdata/NYU0001", "kv2/align/a/"
    savemat(root / "allsplit.mat", {"alltrain": cells(first), "alltest": cells(second, "kv2/align/b")})
    wanted = {"kv1-NYUdata-NYU0001": "train", "kv2-align-a": "test", "kv2-align-b": "test"}
    assert splits(listed(root)) == wanted
    (root / "allsplit.mat").rename(root.parent / "allsplit.mat")
    assert splits(listed(root.parent)) == {f"SUNRGBD-{name}": split for name, split in wanted.items()}
    savemat(root / "allsplit.mat", {"alltrain": cells(first), "alltest": cells(first)})
    with pytest.raises(DataError, match="in both splits"):
        listed(root)
    savemat(root / "allsplit.mat", {"alltrain": cells(first), "alltest": np.zeros((2, 2))})
    with pytest.raises(DataError, match="no list of texts"):
        listed(root)
    savemat(root / "allsplit.mat", {"alltrain": cells(first)})
    with pytest.raises(DataError, match="lacks 'alltest'"):
        listed(root)


def test_what_a_frame_lacks(root: Path, tmp_path: Path) -> None:
    (root / "kv1" / "NYUdata" / "NYU0001" / "scene.txt").write_text(" \n")
    (root / "kv2" / "align" / "a" / "depth_bfx" / "0001.png").unlink()
    Image.new("RGB", (8, 6)).save(root / "kv2" / "align" / "b" / "image" / "0002.jpg")
    bad = [row.reason for row in listed(root) if isinstance(row, BadRow)]
    words = ["scene.txt is empty", "has 0 files in depth_bfx", "has 2 files in image"]
    assert len(bad) == 3
    assert all(word in reason for word, reason in zip(words, bad, strict=True))
    with pytest.raises(DataError, match=r"NYU0001, row 1.*empty"):
        prepare("sunrgbd", root, tmp_path / "s", progress=False)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="no frames are here"):
        listed(tmp_path / "nothing")


def test_the_real_frames(shared: Path, tmp_path: Path) -> None:
    root = shared / "sunrgbd_sample"
    if not root.is_dir():
        pytest.skip("shared/data/sunrgbd_sample is not here")
    settings = PrepareSettings(image_size=420, text_width=16)
    store = prepare("sunrgbd", root, tmp_path / "s", settings=settings, workers=1, progress=False)
    assert list(store.ids) == ["2014-12-18_11-31-54_260595134347", "img_0063"]
    assert store.classes == ("office",)
    assert list(store.captions) == [("office",)] * 2
    metres = store.stored("depth", [0]).float() / 1000
    assert float(metres.min()) == pytest.approx(0.64, abs=0.02)
    assert float(metres.max()) == pytest.approx(3.78, abs=0.02)
    assert float((store.stored("image", [0]).float() - store.stored("image", [1]).float()).abs().mean()) > 10
