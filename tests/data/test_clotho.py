"""Clotho's layout, and GRID's transcripts in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data import READERS
from limbeck.data.prepare import prepare
from limbeck.data.rows import BadRow, Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError

Make = Callable[..., Path]
HEADER = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5"
SPLITS = ("development", "validation", "evaluation")


def listed(root: Path, **settings: Any) -> list[Row | BadRow]:
    return list(READERS["clotho"](root, PrepareSettings(**settings)).rows())


def made(root: Path, out: Path, **settings: Any) -> PairedStore:
    chosen = PrepareSettings(**{"n_mels": 8, "frames": 8, "image_size": 8, "text_width": 16, **settings})
    return prepare("clotho", root, out, settings=chosen, workers=1, progress=False)


def files(rows: list[Row | BadRow]) -> list[str]:
    return [row.media["audio"].path.parent.name for row in rows if isinstance(row, Row)]


def bad(rows: list[Row | BadRow]) -> list[tuple[int, str]]:
    return [(row.number, row.reason) for row in rows if isinstance(row, BadRow)]


@pytest.fixture(scope="module")
def noise(wav: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = 0.1 * np.random.default_rng(0).standard_normal(3 * 8000)
    return wav(tmp_path_factory.mktemp("sound") / "noise.wav", samples)


@pytest.fixture
def root(noise: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "clotho"
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
        names = ["Rain, heavy.wav", f"{split}.wav"]
        for name in names:
            shutil.copy(noise, folder / split / name)
        lines = [f'"{names[0]}","Rain, falling.",It rains,Drops,"A ""storm""",Wet', f"{names[1]},one,two,,,"]
        (folder / f"clotho_captions_{split}.csv").write_text("\n".join([HEADER, *lines]))
    return folder


def test_every_split_and_all_captions(root: Path, tmp_path: Path) -> None:
    store = made(root, tmp_path / "s")
    assert list(store.modalities) == ["audio", "text"]
    assert store.classes == ()
    assert store.summary()["splits"] == {"train": 2, "validation": 2, "test": 2}
    # a name that another split has, too, is told apart
    assert store.ids[0] == "Rain, heavy"
    assert list(store.ids[2:]) == ["Rain, heavy (validation)", "validation", "Rain, heavy (test)", "evaluation"]
    assert store.captions[0] == ("Rain, falling.", "It rains", "Drops", 'A "storm"', "Wet")
    assert store.captions[1] == ("one", "two")


def test_version_one_has_no_validation(root: Path) -> None:
    (root / "clotho_captions_validation.csv").unlink()
    assert {row.split for row in listed(root) if isinstance(row, Row)} == {"train", "test"}
    rows = listed(root, csv="clotho_captions_evaluation.csv")
    assert {row.split for row in rows if isinstance(row, Row)} == {"test"}
    assert listed(root / "clotho_captions_evaluation.csv") == rows


@pytest.mark.parametrize("place", ["wav/{}", "clotho_audio_{}", "clotho_audio_{}/{}", "{}/wav", "wav"])
def test_where_sounds_lie(root: Path, tmp_path: Path, place: str) -> None:
    other = tmp_path / "other"
    for split in SPLITS:
        shutil.copytree(root / split, other / place.format(split, split), dirs_exist_ok=True)
        shutil.copy(root / f"clotho_captions_{split}.csv", other)
    rows = listed(other)
    assert len(files(rows)) == 6
    if place == "wav":  # one folder of all
        assert set(files(rows)) == {"wav"}
    else:  # each split from its own, though names repeat
        for split, row in zip((s for s in SPLITS for _ in range(2)), rows, strict=True):
            assert isinstance(row, Row)
            assert split in row.media["audio"].path.relative_to(other).as_posix()


def test_a_sound_of_another_split_never_stands_in(root: Path) -> None:
    (root / "evaluation" / "Rain, heavy.wav").unlink()
    assert bad(listed(root)) == [(2, "the file Rain, heavy.wav is not here")]
    assert {number for number, _ in bad(listed(root, clips="development"))} == {3}  # one folder for all: by its name
    with pytest.raises(DataError, match="no such folder"):
        listed(root, clips="nowhere")


def test_windows_of_long_and_short_sounds(root: Path, tmp_path: Path) -> None:
    whole = made(root, tmp_path / "s", window=6.0, frames=13, sample_rate=4000)  # three seconds of sound, then silence
    sound = whole.stored("audio", [0])[0, 0].float()
    assert float(sound[:, :6].mean()) > float(sound[:, 8:].mean()) + 30
    assert sound[:, 8:].std() < 1e-3


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("development.wav,,,,,", "has no caption"),
        ("development.wav,one,two", "other cells"),
        ("../development.wav,one,,,,", "leads out"),
        ("nowhere.wav,one,,,,", "nowhere.wav is not here"),
        (",one,,,,", "leads out"),
    ],
)
def test_a_bad_line_names_file_and_row(root: Path, tmp_path: Path, line: str, word: str) -> None:
    (root / "clotho_captions_development.csv").write_text(f"{HEADER}\n{line}\n")
    with pytest.raises(DataError, match=rf"clotho_captions_development\.csv, row 2.*{word}"):
        made(root, tmp_path / "s")
    assert len(files(listed(root))) == 4


def test_listings_that_are_none(root: Path, tmp_path: Path) -> None:
    (root / "clotho_captions_holdout.csv").write_text(HEADER)
    with pytest.raises(DataError, match="unknown split 'holdout'"):
        listed(root)
    (root / "clotho_captions_holdout.csv").unlink()
    (root / "clotho_captions_validation.csv").write_text("file,caption\na.wav,b\n")
    with pytest.raises(DataError, match="first line must be"):
        listed(root)
    with pytest.raises(DataError, match="no such listing"):
        listed(root, csv="x.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no captions are here"):
        listed(tmp_path / "empty")


def test_pictures_only_where_they_are_asked_for(root: Path, clip: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no 'image'"):
        made(root, tmp_path / "s", modalities=("image", "text"))
    clips = tmp_path / "clips"
    (clips / "s1").mkdir(parents=True)
    clip(clips / "s1" / "a.mp4", seconds=1.0)
    (clips / "captions_train.csv").write_text("file_name,caption_1\na.mp4,a tone\n")
    assert list(made(clips, tmp_path / "t").modalities) == ["audio", "text"]
    store = made(clips, tmp_path / "u", modalities=("image", "text"))
    assert list(store.modalities) == ["image", "text"]


def test_real_grid_s1(shared: Path, tmp_path: Path) -> None:
    rows = listed(shared / "grid_s1")
    assert len(files(rows)) == 800
    assert not bad(rows)
    few = tmp_path / "few"
    (few / "s1").mkdir(parents=True)
    for split in ("train", "test"):
        lines = (shared / "grid_s1" / f"captions_{split}.csv").read_text().splitlines()[:4]
        (few / f"captions_{split}.csv").write_text("\n".join(lines))
        for line in lines[1:]:
            shutil.copy(shared / "grid_s1" / "s1" / line.split(",")[0], few / "s1")
    settings = {"window": 3.0, "sample_rate": 16_000, "n_fft": 1024, "n_mels": 64, "frames": 96}
    store = made(few, tmp_path / "s", validation=0.34, **settings)
    assert store.modalities["audio"].shape == (1, 64, 96)
    assert store.summary()["splits"] == {"train": 2, "validation": 1, "test": 3}
    assert all(len(captions) == 1 and len(captions[0].split()) == 6 for captions in store.captions)
