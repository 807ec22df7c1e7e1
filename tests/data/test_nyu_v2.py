"""NYU-v2: the labelled .mat file and exports of it."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data import READERS
from limbeck.data.decode import Failure, Plan, decode_safely
from limbeck.data.prepare import prepare
from limbeck.data.rows import BadRow, Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError, MissingDependencyError
from limbeck.modalities import Depth, Image
from tests.data.nyu_files import LABELED, TYPES, pictures, write_mat, write_splits

h5py = pytest.importorskip("h5py", reason="NYU-v2's .mat needs h5py (limbeck[nyu])")


def listed(root: Path, reader: str = "nyu_v2", **settings: Any) -> list[Row | BadRow]:
    return list(READERS[reader](root, PrepareSettings(**settings)).rows())


def made(root: Path, out: Path, reader: str = "nyu_v2", **settings: Any) -> PairedStore:
    chosen = PrepareSettings(**{"image_size": 4, "text_width": 32, **settings})
    return prepare(reader, root, out, settings=chosen, workers=1, progress=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "nyu"
    write_mat(folder)
    write_splits(folder, [1, 2, 4, 5], [3, 6])
    return folder


def test_frames_stand_upright_with_their_split_class_and_name(root: Path, tmp_path: Path) -> None:
    store = made(root, tmp_path / "s")
    assert list(store.modalities) == ["image", "depth", "text"]
    assert list(store.ids) == ["0004", "0001", "0002", "0005", "0006", "0003"]  # by split and class
    assert store.classes == ("cafe", "kitchen", "living room")
    assert list(store.captions) == [(store.classes[label],) for label in store.labels]
    assert store.summary()["splits"] == {"train": 4, "test": 2}
    assert store.settings["text_is_label"] is True
    rgb, metres = pictures(len(TYPES))
    rows, columns = [0, 2, 3, 5], [1, 3, 5, 7]  # the nearest of 6 rows and 8 columns to 4
    for k, name in enumerate(store.ids):
        frame = int(name) - 1
        wanted = np.rint(metres[frame][np.ix_(rows, columns)] * 1000)
        assert np.array_equal(store.stored("depth", [k]).numpy()[0, 0], wanted)
        seen = store.stored("image", [k]).numpy()[0].astype(float)
        assert np.abs(seen.mean(axis=(1, 2)) - rgb[frame].mean(axis=(0, 1))).max() < 1.5
        assert seen[1, 3, 0] > seen[1, 0, 0] + 40  # green grows downwards,
        assert seen[2, 0, 3] > seen[2, 0, 0] + 40  # blue to the right


def test_rows_travel_to_workers_with_nothing_open(root: Path) -> None:
    rows = [row for row in listed(root) if isinstance(row, Row)]
    plan = Plan(PrepareSettings(image_size=4), {"depth": Depth(shape=(1, 4, 4)), "image": Image(shape=(3, 4, 4))})
    here = decode_safely(rows, plan)
    there = decode_safely(*pickle.loads(pickle.dumps((rows, plan))))
    for one, other in zip(here, there, strict=True):
        assert not isinstance(one, Failure)
        assert not isinstance(other, Failure)
        assert all(np.array_equal(one[name], other[name]) for name in ("depth", "image"))
    (root / LABELED).unlink()  # and an open file is not held on to
    assert isinstance(decode_safely(rows[:1], plan)[0], Failure)


def test_what_no_sensor_read_is_zero(tmp_path: Path) -> None:
    root = tmp_path / "nyu"
    depths = np.full((6, 8, 6), 2.0, np.float32)
    depths[0, :2], depths[0, 2:4], depths[0, 4:6], depths[0, 6:] = np.nan, -1, np.inf, 65.0
    write_mat(root, depths=depths)
    write_splits(root, [1, 2, 4, 5], [3, 6])
    store = made(root, tmp_path / "s", modalities=("depth", "text"))
    first = store.stored("depth", [list(store.ids).index("0001")]).numpy()[0, 0]
    assert first[0].tolist() == [0, 0, 0, 65000]
    depths[0] = 3000.0
    write_mat(root, depths=depths)
    with pytest.raises(DataError, match="not in metres"):
        made(root, tmp_path / "t")


def test_the_ten_class_protocol(root: Path, tmp_path: Path) -> None:
    store = made(root, tmp_path / "s", reader="nyu_v2_ten", modalities=("depth", "text"))
    assert store.classes == ("kitchen", "living room", "others")
    assert {store.captions[k] for k in store.rows("train", 2)} == {("cafe",)}


def test_validation_is_carved_scene_by_scene(tmp_path: Path) -> None:
    root = tmp_path / "nyu"
    write_mat(root, ("kitchen",) * 12)  # six scenes of two frames
    write_splits(root, list(range(1, 11)), [11, 12])
    store = made(root, tmp_path / "s", validation=0.4, modalities=("depth",))
    assert store.summary()["splits"] == {"train": 6, "validation": 4, "test": 2}
    held = sorted(int(store.ids[k]) for k in store.rows("validation"))
    assert [b - a for a, b in zip(held[::2], held[1::2], strict=True)] == [1, 1]
    assert all(number % 2 for number in held[::2])


# -- what is wrong with files ------------------------------------------------------------------------------------------


def test_splits_that_do_not_fit(root: Path) -> None:
    for train, test, word in (
        ([0, 1], [2], "names frame 0"),
        ([1, 7], [2], "names frame 7"),
        ([1, 2], [2], "frame 2 is listed twice"),
        ([1.5], [2], "no list of whole numbers"),
    ):
        write_splits(root, train, test)
        with pytest.raises(DataError, match=word):
            listed(root)
    write_splits(root, [1, 2, 3, 4], [6])
    left = [row for row in listed(root) if isinstance(row, BadRow)]
    assert [(row.number, row.fatal) for row in left] == [(5, False)]
    for content, word in ((b"", "cannot be read"), (b"MATLAB 5.0 MAT-file" + b" " * 200, "cannot be read")):
        (root / "splits.mat").write_bytes(content)
        with pytest.raises(DataError, match=word):
            listed(root)
    (root / "splits.mat").unlink()
    with pytest.raises(DataError, match=r"no splits\.mat"):
        listed(root)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"images": None}, "lacks 'images'"),
        ({"depths": None}, "lacks 'depths'"),
        ({"images": np.zeros((6, 8, 6, 3), np.uint8)}, r"expected \(N, 3, W, H\)"),
        ({"images": np.zeros((6, 3, 8, 6), np.float32)}, "uint8 of 4 dimensions"),
        ({"depths": np.zeros((6, 6, 8), np.float32)}, "expected"),
        ({"depths": np.zeros((6, 8, 6), np.uint16)}, "float32"),
    ],
)
def test_arrays_of_other_shapes_and_types(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    write_mat(tmp_path, **changes)
    write_splits(tmp_path, [1], [2])
    with pytest.raises(DataError, match=word):
        listed(tmp_path)


def test_files_that_are_no_mat_or_cut_short(root: Path) -> None:
    whole = (root / LABELED).read_bytes()
    for content in (b"", b"MATLAB 5.0 MAT-file" + b"x" * 500, whole[: len(whole) // 2], whole[:600]):
        (root / LABELED).write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as HDF5"):
            listed(root)


def test_a_damaged_frame_names_itself(root: Path, tmp_path: Path) -> None:
    with h5py.File(root / LABELED, "r+") as file:
        depths = file["depths"][()]
        del file["depths"]
        file.create_dataset("depths", data=depths, chunks=(1, 8, 6), fletcher32=True)
    raw, frame = (root / LABELED).read_bytes(), depths[2].tobytes()
    assert raw.count(frame) == 1
    (root / LABELED).write_bytes(raw.replace(frame, bytes(len(frame))))
    with pytest.raises(DataError, match=rf"{LABELED}, row 3"):
        made(root, tmp_path / "s")


def hostile(root: Path, what: str) -> None:
    """Make one thing in a sound file point elsewhere, or claim too much."""
    with h5py.File(root / LABELED, "r+") as file:
        cells = file["sceneTypes"]
        if what == "null":
            cells[0, 1] = h5py.Reference()
        elif what == "group":
            cells[0, 1] = file["#refs#"].ref
        elif what == "numbers":
            cells[0, 1] = file["depths"].ref
        elif what == "long":
            cells[0, 1] = file.create_dataset("book", data=np.full((100_000, 1), 65, np.uint16)).ref
        elif what == "half":
            cells[0, 1] = file.create_dataset("half", data=np.array([[0xD800]], np.uint16)).ref
        elif what == "texts":
            del file["sceneTypes"]
            file.create_dataset("sceneTypes", data=np.array([[b"x"] * 6], dtype=object), dtype=h5py.string_dtype())
        elif what == "few":
            del file["sceneTypes"]
            file.create_dataset("sceneTypes", (1, 2), dtype=h5py.ref_dtype)[0, :] = [file["#refs#/sceneTypes0"].ref] * 2
        elif what == "link":
            del file["depths"]
            file["depths"] = h5py.ExternalLink("/etc/other.h5", "/depths")
        elif what == "soft":
            del file["depths"]
            file["depths"] = h5py.SoftLink("/nowhere")
        elif what == "outside":
            del file["depths"]
            file.create_dataset("depths", (6, 8, 6), np.float32, external=[("/etc/hostname", 0, 1152)])
        elif what == "chunk":
            del file["depths"]
            file.create_dataset("depths", (6, 8, 6), np.float32, maxshape=(None,) * 3, chunks=(1000, 1000, 1000))


@pytest.mark.parametrize(
    ("what", "word"),
    [
        *((what, "leads to no name") for what in ("null", "group", "numbers", "long")),
        ("half", "not valid Unicode"),
        ("texts", "not a list of references"),
        ("few", "6 frames, 2 sceneTypes"),
        ("link", "points to another place"),
        ("soft", "points to another place"),
        ("outside", "in other files"),
        ("chunk", "blocks of 4000000000 bytes"),
    ],
)
def test_hostile_files_are_one_error(root: Path, what: str, word: str) -> None:
    hostile(root, what)
    with pytest.raises(DataError, match=word):
        listed(root)


def test_without_h5py(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"limbeck\[nyu\]"):
        listed(root)


def test_a_listing_means_nothing_to_the_mat(root: Path) -> None:
    with pytest.raises(ConfigError, match="no listing"):
        listed(root, csv="x.csv")
    assert [row.id for row in listed(root / LABELED)] == [f"{k:04d}" for k in range(1, 7)]  # the root may be the file
