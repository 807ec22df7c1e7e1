"""Frames of picture, depth and scene in folders, as NYU-v2 is exported."""

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

SCENES = ("kitchen", "living_room")


def frame(folder: Path, name: str, scene: str, value: int, rgb: bool = True) -> None:
    for kind in ("rgb", "depth") if rgb else ("depth",):
        (folder / kind / scene).mkdir(parents=True, exist_ok=True)
    if rgb:
        Image.new("RGB", (8, 6), (value % 256, 0, 0)).save(folder / "rgb" / scene / f"{name}.jpg")
    Image.fromarray(np.full((6, 8), value, np.uint16)).save(folder / "depth" / scene / f"{name}.png")


def listed(root: Path, **settings: Any) -> list[Row | BadRow]:
    return list(READERS["nyu_v2"](root, PrepareSettings(**settings)).rows())


def shown(rows: list[Row | BadRow]) -> list[tuple[Any, ...]]:
    return [(r.id, r.label, r.split, r.media["depth"].path.name) for r in rows if isinstance(r, Row)]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for k in range(4):
        frame(tmp_path / "set", f"{k:03d}", SCENES[k % 2], 1000 * (k + 1))
    return tmp_path / "set"


def test_folders_of_scenes_with_split_lists(folders: Path, tmp_path: Path) -> None:
    assert {split for _, _, split, _ in shown(listed(folders))} == {None}
    (folders / "train.txt").write_text("000\nliving_room/001\n")
    (folders / "test.txt").write_text("002.png\n")
    rows = listed(folders)
    assert shown(rows) == [
        ("kitchen-000", "kitchen", "train", "000.png"),
        ("kitchen-002", "kitchen", "test", "002.png"),
        ("living_room-001", "living room", "train", "001.png"),
    ]
    assert [(r.id, r.fatal) for r in rows if isinstance(r, BadRow)] == [("living_room-003", False)]
    settings = PrepareSettings(image_size=4, text_width=16)
    store = prepare("nyu_v2", folders, tmp_path / "s", settings=settings, workers=1, progress=False)
    assert list(store.modalities) == ["image", "depth", "text"]
    assert store.stored("depth", [1]).unique().tolist() == [2000]  # millimetres
    assert store.captions[1] == ("living room",)
    (folders / "test.txt").write_text("000\n")
    with pytest.raises(DataError, match="in the list of train, too"):
        listed(folders)


def test_folders_of_splits_and_no_pictures(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        frame(tmp_path / split, "1", "kitchen", 500, rgb=False)
    rows = listed(tmp_path)
    assert [(r.id, r.split) for r in rows if isinstance(r, Row)] == [
        ("train-kitchen-1", "train"),
        ("val-kitchen-1", "validation"),
        ("test-kitchen-1", "test"),
    ]
    assert READERS["nyu_v2"](tmp_path, PrepareSettings()).offers == ("depth", "text")


def test_a_frame_without_its_picture(folders: Path, tmp_path: Path) -> None:
    (folders / "rgb" / "kitchen" / "002.jpg").unlink()
    with pytest.raises(DataError, match=r"row 2.*002\.png has no picture"):
        prepare("nyu_v2", folders, tmp_path / "s", progress=False)


def test_a_table(folders: Path) -> None:
    lines = [
        "id,rgb,depth,scene,split",
        "a,kitchen/000.jpg,kitchen/000.png,kitchen,train",  # inside rgb/ and depth/
        "b,rgb/living_room/001.jpg,depth/living_room/001.png,Living_Room,val",
        "c,rgb/living_room/001.jpg,nowhere.png,kitchen,test",
        "d,rgb/living_room/001.jpg,kitchen/000.png,,test",
        "e,rgb/living_room/001.jpg,kitchen/000.png,kitchen,holdout",
        "f,rgb/living_room/001.jpg,../../x.png,kitchen,test",
        "g,kitchen",
    ]
    (folders / "frames.csv").write_text("\n".join(lines))
    rows = listed(folders)
    assert shown(rows) == [("a", "kitchen", "train", "000.png"), ("b", "living room", "validation", "001.png")]
    bad = [r for r in rows if isinstance(r, BadRow)]
    words = ("no file 'nowhere.png'", "no scene", "unknown split", "leads out", "has 2 cells")
    assert len(bad) == len(words)
    for row, word in zip(bad, words, strict=True):
        assert row.fatal
        assert word in row.reason
    (folders / "frames.csv").write_text("picture,scene\nx,y\n")
    with pytest.raises(DataError, match="names no column"):
        listed(folders)


def test_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    with pytest.raises(DataError, match="no frames are here"):
        listed(tmp_path)
    (tmp_path / "depth" / "kitchen").mkdir(parents=True)
    with pytest.raises(DataError, match="lists no item"):
        prepare("nyu_v2", tmp_path, tmp_path / "s", progress=False)
