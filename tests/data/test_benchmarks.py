"""The benchmarks' published annotation files, with made clips: AVE, VGGSound, VGGS-10K, MUSIC-21."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from limbeck.data import READERS
from limbeck.data.catalogue import datasets
from limbeck.data.prepare import prepare
from limbeck.data.readers import ave, vggs10k
from limbeck.data.rows import BadRow, Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError

Make = Callable[..., Path]
SMALL = {"image_size": 8, "n_mels": 16}


def listed(reader: str, root: Path, **settings: object) -> list[Row | BadRow]:
    return list(READERS[reader](root, PrepareSettings(**settings)).rows())  # type: ignore[arg-type]


def made(reader: str, root: Path, out: Path, **settings: object) -> PairedStore:
    chosen = PrepareSettings(**{**SMALL, **settings})  # type: ignore[arg-type]
    return prepare(reader, root, out, settings=chosen, workers=1, progress=False)


@pytest.fixture(scope="module")
def second(clip: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips") / "second.mp4", seconds=1.0, fps=5)


def test_every_set_is_in_the_catalogue() -> None:
    names = {entry["name"]: entry["description"] for entry in datasets()}
    assert {"ave", "vggsound", "vggs10k", "music21", "av_mnist", "manifest", "avdd_tensors", "digits"} <= set(names)


# -- AVE ---------------------------------------------------------------------------------------------------------------


def test_aves_lists_and_its_classes_in_avdds_order(second: Path, tmp_path: Path) -> None:
    root = tmp_path / "ave"
    (root / "AVE").mkdir(parents=True)
    lines: dict[str, list[str]] = {"trainSet.txt": [], "valSet.txt": [], "testSet.txt": []}
    for k, label in enumerate(sorted(ave.CLASSES)):
        for file, name in (("trainSet.txt", f"-r_{k}"), ("testSet.txt", f"e_{k}")):
            shutil.copy(second, root / "AVE" / f"{name}.mp4")
            lines[file].append(f"{label}&{name}&good&0&1")
    for name in ave.LEFT_OUT:
        shutil.copy(second, root / "AVE" / f"{name}.mp4")
        # one of them has an event without length in the published list
        lines["trainSet.txt"].append(f"Church bell&{name}&good&0&{0 if name == 'VWi2ENBuTbw' else 1}")
    lines["valSet.txt"] = ["Bark&-r_gone&good&0&1", "Bark&v_1&good&0&1"]
    shutil.copy(second, root / "AVE" / "v_1.mp4")
    for file, text in lines.items():
        (root / file).write_text("\n".join(text) + "\n")
    store = made("ave", root, tmp_path / "s")
    assert store.classes == ave.CLASSES
    assert [store.classes[k] for k in (0, 3, 14, 15, 27)] == [
        "Church bell", "Fixed-wing aircraft, airplane", "Chainsaw", "Acoustic guitar", "Mandolin",
    ]  # fmt: skip
    assert store.summary()["splits"] == {"train": 28, "validation": 1, "test": 28}
    skipped = {entry["id"]: entry["reason"] for entry in store.skipped}
    assert set(skipped) == {*ave.LEFT_OUT, "-r_gone"}
    assert skipped["-r_gone"] == "the video -r_gone is not in AVE"
    # made again, the finished store is opened: what it left out was no error
    assert made("ave", root, tmp_path / "s").data_hash == store.data_hash
    kept = [row for row in listed("ave", root, keep_dropped=True) if row.id.startswith(tuple(ave.LEFT_OUT))]
    assert {type(row) for row in kept} == {Row, BadRow}
    assert sum(isinstance(row, Row) for row in kept) == 5


def test_ten_seconds_of_ave(clip: Make, tmp_path: Path) -> None:
    root = tmp_path / "ave"
    (root / "AVE").mkdir(parents=True)
    clip(root / "AVE" / "x.mp4", seconds=10.0, fps=5)
    (root / "trainSet.txt").write_text("Bark&x&good&2&9\n")
    store = made("ave", root, tmp_path / "s", window=10.0)
    assert store.modalities["audio"].shape == (1, 16, 551)
    assert len(store) == 1
    assert float(store.stored("audio", [0])[0, 0, :, 540].max()) > -20  # the sound reaches to the clip's end


# -- VGGS-10K ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def vgg(second: Path, tmp_path: Path) -> Path:
    """Two clips of each class in VGGSound's csv, and one of a class that is none of the ten."""
    root = tmp_path / "vgg"
    (root / "videos").mkdir(parents=True)
    rows = [["zzz", "1", "dog barking", "train"]]
    for k, label in enumerate(sorted(vggs10k.CLASSES)):
        rows += [[f"-a{k}", "30", label, "train"], [f"-a{k}", "44", label, "train"], [f"b_{k}", "7", label, "test"]]
    rows += [["JsxLvhJ4P6w", "2", "ocean burbling", "test"], ["gone", "0", "ocean burbling", "train"]]
    for name, start, *_ in rows[:-1]:
        shutil.copy(second, root / "videos" / f"{name}_{int(start):06d}.mp4")
    with (root / "vggsound.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def test_vggs10k_of_vggsounds_csv(vgg: Path, tmp_path: Path) -> None:
    assert '"child speech, kid speaking"' in (vgg / "vggsound.csv").read_text()
    store = made("vggs10k", vgg, tmp_path / "s")
    assert store.classes == vggs10k.CLASSES
    assert (store.classes[0], store.classes[6], store.classes[9]) == (
        "chicken crowing", "child speech, kid speaking", "driving buses",
    )  # fmt: skip
    assert store.summary()["splits"] == {"train": 20, "test": 10}
    assert {e["id"] for e in store.skipped} == {"JsxLvhJ4P6w_000002", "gone_000000"}
    kept = listed("vggs10k", vgg, keep_dropped=True)
    assert sum(isinstance(row, Row) for row in kept) == 31
    whole = made("vggsound", vgg, tmp_path / "whole")
    assert len(whole.classes) == 11
    assert {e["id"] for e in whole.skipped} == {"gone_000000"}


def test_vggs10k_of_avdds_csv(vgg: Path, tmp_path: Path) -> None:
    with (vgg / "vggsound.csv").open(newline="") as file:
        rows = [[*row, str(vggs10k.CLASSES.index(row[2]))] for row in list(csv.reader(file))[1:]]
    with (vgg / "vgg_subset.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["vid", "num", "label", "split", "label_id"], *rows])
    subset = made("vggs10k", vgg, tmp_path / "a")
    other = made("vggs10k", vgg, tmp_path / "b", csv="vggsound.csv")
    assert subset.data_hash == other.data_hash
    rows[0][-1] = "9" if rows[0][-1] != "9" else "8"
    rows[1].append("x")
    with (vgg / "vgg_subset.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    bad = [row for row in listed("vggs10k", vgg) if isinstance(row, BadRow) and row.fatal]
    assert [row.number for row in bad] == [1, 2]
    assert "label_id" in bad[0].reason


# -- MUSIC-21 ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def music(clip: Make, tmp_path: Path) -> Path:
    """The list of the solo videos and AVDD's csv of their splits; clips by instrument and flat."""
    root = tmp_path / "music"
    (root / "videos" / "erhu").mkdir(parents=True)
    long = clip(root / "videos" / "-long.mp4", seconds=3.4, fps=5)
    shutil.copy(long, root / "videos" / "erhu" / "e1.mp4")
    shutil.copy(long, root / "videos" / "u1.mp4")
    clip(root / "videos" / "short.mp4", seconds=0.6)
    solos = {"ukulele": ["u1", "gone"], "erhu": ["e1", "e1"], "xylophone": ["-long", "u1"]}
    (root / "MUSIC21_solo_videos.json").write_text(json.dumps({"version": 2.0, "videos": solos}))
    lines = ["vid,split,label", "u1,test,ukulele", "e1,train,erhu", "-long,val,xylophone", "gone,train,ukulele"]
    (root / "music_21.csv").write_text("\n".join(lines))
    return root


def test_music21_takes_every_second_and_splits_by_video(music: Path, tmp_path: Path) -> None:
    store = made("music21", music, tmp_path / "s")
    assert list(store.ids) == [f"{v}_{k:04d}" for v in ("e1", "-long", "u1") for k in range(3)]
    assert store.classes == ("xylophone", "ukulele", "erhu")  # in the order of AVDD's numbers
    assert store.summary()["splits"] == {"train": 3, "validation": 3, "test": 3}
    assert [e["id"] for e in store.skipped] == ["gone"]
    frames = [round((float(store.stored("image", [k]).float().mean()) - 16) / 8) for k in range(3)]
    assert frames == [2, 7, 12]  # the middle of each second, five frames a second


def test_music21_of_the_published_list(music: Path, tmp_path: Path) -> None:
    (music / "music_21.csv").unlink()
    rows = listed("music21", music)
    assert {row.split for row in rows if isinstance(row, Row)} == {None}
    assert [(row.id, row.fatal) for row in rows if isinstance(row, BadRow)] == [("gone", False), ("u1", False)]
    assert sum(isinstance(row, Row) for row in rows) == 9  # a video that is listed twice counts once
    for k, name in enumerate(("x2", "x3")):
        shutil.copy(music / "videos" / "-long.mp4", music / "videos" / f"{name}.mp4")
        solos = {"xylophone": ["-long", "x2", "x3"][: k + 2]}
        (music / "MUSIC21_solo_videos.json").write_text(json.dumps({"videos": solos}))
    store = made("music21", music, tmp_path / "s", test=0.34)
    assert store.summary()["splits"] == {"train": 6, "test": 3}
    assert len({store.ids[r].rpartition("_")[0] for r in store.rows("test")}) == 1
    ten = listed("music21", music, window=1.5)
    assert [(row.start, row.end) for row in ten[:2] if isinstance(row, Row)] == [(0.0, 1.5), (1.5, 3.0)]


def test_music21_names_what_is_wrong(music: Path) -> None:
    lines = [
        "vid,split,label",
        "u1,test,ukulelee",
        "../u1,test,ukulele",
        "e1,holdout,erhu",
        "short,test,erhu",
        "x,test",
    ]
    (music / "music_21.csv").write_text("\n".join(lines))
    bad = [row for row in listed("music21", music) if isinstance(row, BadRow)]
    for row, words in zip(
        bad,
        ("Did you mean 'ukulele'", "leads out", "unknown split", "shorter than a window", "instrument"),
        strict=True,
    ):
        assert words in row.reason
        assert row.fatal
    (music / "music_21.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="vid,split,label"):
        listed("music21", music)
    (music / "music_21.csv").unlink()
    for text in ("[]", '{"videos": []}', '{"videos": {"erhu": [1]}}', "{"):
        (music / "MUSIC21_solo_videos.json").write_text(text)
        with pytest.raises(DataError, match=r"MUSIC21_solo_videos\.json"):
            listed("music21", music)


def test_a_folder_without_any_of_the_videos_is_an_error(music: Path, tmp_path: Path) -> None:
    (music / "elsewhere").mkdir()
    with pytest.raises(DataError, match="lists no item"):
        made("music21", music, tmp_path / "s", clips="elsewhere")
    with pytest.raises(ConfigError, match="no such option"):
        listed("ave", music, csv="music_21.csv")


def test_windows_decoded_by_workers_are_those_of_one_process(music: Path, tmp_path: Path) -> None:
    for k in range(18):
        shutil.copy(music / "videos" / "-long.mp4", music / "videos" / f"n{k}.mp4")
    lines = ["vid,split,label", *(f"n{k},train,erhu" for k in range(18))]
    (music / "music_21.csv").write_text("\n".join(lines))
    settings = PrepareSettings(image_size=8, n_mels=16)
    stores = [
        prepare("music21", music, tmp_path / f"s{n}", settings=settings, workers=n, progress=False) for n in (1, 2)
    ]
    assert len(stores[0]) == 54
    assert stores[0].data_hash == stores[1].data_hash


# -- the real data beside the project ----------------------------------------------------------------------------------


def test_real_clips_in_the_layout_of_music21(shared: Path, tmp_path: Path) -> None:
    clips = sorted((shared / "grid_s1" / "s1").glob("*.mp4"))[:2]
    lines = ["vid,split,label", f"{clips[0].stem},train,erhu", f"{clips[1].stem},test,erhu"]
    (tmp_path / "music_21.csv").write_text("\n".join(lines))
    store = made("music21", tmp_path, tmp_path / "s", clips=str(clips[0].parent), allow_silent=True)
    assert store.summary()["splits"] == {"train": 2, "test": 2}  # 2.98 s of sound each: two whole seconds
