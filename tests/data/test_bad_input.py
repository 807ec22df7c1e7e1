"""Every way an item can be bad: ``error`` names file and row, ``skip`` leaves out exactly that item and lists it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.data.prepare import prepare
from limbeck.data.settings import PrepareSettings
from limbeck.errors import DataError

Make = Callable[..., Path]
SMALL = PrepareSettings(image_size=8, n_mels=16, frames=8)


@pytest.fixture
def folder(clip: Make, tmp_path: Path) -> Path:
    """Good media, and one of each bad kind."""
    root = tmp_path / "root"
    root.mkdir()
    clip(root / "good.mp4", seconds=0.6)
    data = (root / "good.mp4").read_bytes()
    (root / "other.mp4").write_bytes(data)
    (root / "cut.mp4").write_bytes(data[: len(data) // 2])
    (root / "empty.mp4").write_bytes(b"")
    clip(root / "silent.mp4", seconds=0.6, level=0.0)
    clip(root / "mute.mp4", seconds=0.6, audio=False)
    clip(root / "blind.mp4", seconds=0.6, video=False)
    clip(tmp_path / "outside.mp4", seconds=0.6)
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    return root


ROWS = [
    # id, video, label, split, start, end, what is wrong (None: nothing)
    ("one", "good.mp4", "a", "train", "", "", None),
    ("missing", "nowhere.mp4", "a", "train", "", "", "no such file"),
    ("cut", "cut.mp4", "a", "train", "", "", "cut.mp4"),
    ("empty", "empty.mp4", "a", "train", "", "", "empty"),
    ("silent", "silent.mp4", "a", "train", "", "", "silent"),
    ("mute", "mute.mp4", "a", "train", "", "", "has no sound"),
    ("blind", "blind.mp4", "a", "train", "", "", "has no picture"),
    ("one", "other.mp4", "a", "train", "", "", "that of row 2"),
    ("dots", "../outside.mp4", "a", "train", "", "", "leads out"),
    ("absolute", "/etc/passwd", "a", "train", "", "", "leads out"),
    ("link", "link.mp4", "a", "train", "", "", "leads out"),
    ("unlabelled", "good.mp4", "", "train", "", "", "label"),
    ("split", "good.mp4", "a", "trian", "", "", "unknown split"),
    ("backwards", "good.mp4", "a", "train", "0.5", "0.2", "before it starts"),
    ("late", "good.mp4", "a", "train", "7", "8", "starts at 7"),
    ("when", "good.mp4", "a", "train", "soon", "", "soon"),
    ("nothing", "", "a", "train", "", "", "video"),
    ("two", "good.mp4", "b", "test", "0.1", "0.2", None),
]


def listing(root: Path, rows: list[tuple[str, ...]]) -> Path:
    lines = ["id,video,label,split,start,end", *(",".join(row[:6]) for row in rows)]
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root / "manifest.csv"


@pytest.mark.parametrize("workers", [1, 2])
def test_skip_leaves_out_exactly_the_bad_rows(folder: Path, tmp_path: Path, workers: int) -> None:
    path = listing(folder, [*ROWS, ("cells", "good.mp4")])  # type: ignore[list-item]
    store = prepare("manifest", path, tmp_path / "s", settings=SMALL, on_error="skip", workers=workers, progress=False)
    assert list(store.ids) == ["one", "two"]
    listed = {entry["row"]: entry for entry in store.skipped}
    wrong = {k: row for k, row in enumerate(ROWS, 2) if row[6] is not None}
    assert sorted(listed) == [*wrong, len(ROWS) + 2]
    for number, row in wrong.items():
        text = f"{listed[number]['reason']} {listed[number]['file']}"
        assert str(row[6]) in text
        assert listed[number]["id"] == row[0]
    assert store.summary()["skipped"] == len(listed)
    assert not any(str(tmp_path) in json.dumps(entry) for entry in store.skipped)


@pytest.mark.parametrize("row", [row for row in ROWS if row[6] is not None], ids=lambda row: row[0])
def test_error_names_file_and_row(folder: Path, tmp_path: Path, row: tuple[str, ...]) -> None:
    path = listing(folder, [ROWS[0], ROWS[-1], row])  # type: ignore[list-item]
    with pytest.raises(DataError) as caught:
        prepare("manifest", path, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    message = str(caught.value)
    assert "row 4" in message
    assert "manifest.csv" in message
    assert row[6] in message or row[6] == "that of row 2"
    assert not (tmp_path / "s").exists()


def test_switches_that_make_bad_rows_good(folder: Path, tmp_path: Path) -> None:
    rows = [row for row in ROWS if row[0] in ("silent", "dots", "link")]
    settings = PrepareSettings(image_size=8, n_mels=16, frames=8, allow_silent=True, allow_outside=True)
    store = prepare("manifest", listing(folder, rows), tmp_path / "s", settings=settings, progress=False)  # type: ignore[arg-type]
    assert list(store.ids) == ["silent", "dots", "link"]


def test_a_mended_file_lets_the_preparation_go_on(folder: Path, tmp_path: Path) -> None:
    path = listing(folder, [ROWS[0], ROWS[3], ROWS[-1]])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"empty\.mp4"):
        prepare("manifest", path, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    (folder / "empty.mp4").write_bytes((folder / "good.mp4").read_bytes())
    store = prepare("manifest", path, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    assert list(store.ids) == ["one", "empty", "two"]


def test_a_class_whose_items_are_all_bad_is_an_error(folder: Path, tmp_path: Path) -> None:
    rows = [ROWS[0], ("bad", "cut.mp4", "lost", "train", "", "", "")]
    with pytest.raises(DataError, match="'lost'"):
        prepare("manifest", listing(folder, rows), tmp_path / "s", settings=SMALL, on_error="skip", progress=False)  # type: ignore[arg-type]


def test_nothing_left_is_an_error(folder: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("dots", "cut")):
        rows = [row for row in ROWS if row[0] == name]
        path = listing(folder, rows)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"no item|skipped"):
            prepare("manifest", path, tmp_path / f"{number}", settings=SMALL, on_error="skip", progress=False)


def test_not_a_number_in_sound_and_vectors(wav: Make, tmp_path: Path) -> None:
    import av

    values = np.sin(np.arange(8000) / 10).astype(np.float32)
    values[4000] = np.nan
    with av.open(str(tmp_path / "nan.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(values[None], format="flt", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    wav(tmp_path / "good.wav", np.sin(np.arange(8000) / 10))
    np.save(tmp_path / "good.npy", np.ones(3))
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan, 1.0]))
    np.save(tmp_path / "wide.npy", np.ones(4))
    lines = [
        "id,audio,feature",
        "a,good.wav,good.npy",
        "b,nan.wav,good.npy",
        "c,good.wav,nan.npy",
        "d,good.wav,wide.npy",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    store = prepare("manifest", tmp_path, tmp_path / "s", settings=SMALL, on_error="skip", progress=False)
    assert list(store.ids) == ["a"]
    assert [entry["id"] for entry in store.skipped] == ["b", "c", "d"]
    assert store.classes == ()
    assert store.labels.tolist() == [-1]
    assert store.modalities["feature"].shape == (3,)
