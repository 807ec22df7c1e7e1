"""Flickr8k, Flickr30k and COCO: every layout gives the same items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.data import READERS
from limbeck.data.catalogue import datasets
from limbeck.data.prepare import prepare
from limbeck.data.rows import BadRow, Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
CAPTIONS = {
    "a": ("A dog runs .", "Two dogs, one ball"),
    "b": ('He says "hi" .', "A man"),
    "c": ("A cat", "a cat; asleep"),
    "d": ("A bird", "Birds"),
}
SPLIT = {"a": "train", "b": "train", "c": "validation", "d": "test"}


def listed(reader: str, root: Path, **settings: Any) -> list[Row | BadRow]:
    return list(READERS[reader](root, PrepareSettings(**settings)).rows())


def items(found: list[Row | BadRow]) -> dict[str, tuple[Any, ...]]:
    return {r.id: (r.split, r.captions, r.media["image"].path.name) for r in found if isinstance(r, Row)}


def bad(found: list[Row | BadRow]) -> list[tuple[str, int, bool, str]]:
    return [(r.listing, r.number, r.fatal, r.reason) for r in found if isinstance(r, BadRow)]


KNOWN = {k: (SPLIT[k], CAPTIONS[k], f"{k}.jpg") for k in SPLIT}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for k, name in enumerate(CAPTIONS):
        Image.new("RGB", (12, 6), (40 * k, 100, 200)).save(folder / "images" / f"{name}.jpg")
    return folder


# -- layouts -----------------------------------------------------------------------------------------------------------


def karpathy(root: Path, file: str, **changes: Any) -> None:
    short = {"validation": "val"}
    images = [
        {"filename": f"{k}.jpg", "split": short.get(SPLIT[k], SPLIT[k]), "sentences": [{"raw": c} for c in CAPTIONS[k]]}
        for k in CAPTIONS
    ]
    images[0].update(changes)
    (root / file).write_text(json.dumps({"dataset": "x", "images": images}))


def blip(root: Path, pattern: str) -> None:
    rows = [{"image": f"images/{k}.jpg", "caption": c, "image_id": k} for k in "ab" for c in CAPTIONS[k]]
    (root / pattern.format("train")).write_text(json.dumps(rows))
    for split, k in (("val", "c"), ("test", "d")):
        (root / pattern.format(split)).write_text(json.dumps([{"image": f"images/{k}.jpg", "caption": CAPTIONS[k]}]))


def kaggle(root: Path, file: str = "captions.txt") -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text

    lines = [f"{k}.jpg,{quoted(c)}" for k in CAPTIONS for c in CAPTIONS[k]]
    (root / file).write_text("\n".join(["image,caption", *lines, ""]))


def tokens(root: Path, file: str) -> None:
    (root / file).write_text("".join(f"{k}.jpg#{i}\t{c}\n" for k in CAPTIONS for i, c in enumerate(CAPTIONS[k])))


def bars(root: Path) -> None:
    lines = [f"{k}.jpg| {i}| {c}" for k in CAPTIONS for i, c in enumerate(CAPTIONS[k])]
    lines[1] = lines[1].replace("| 1| ", "| 1   ")  # as one row of the published file
    (root / "results.csv").write_text("\n".join(["image_name| comment_number| comment", *lines]))


def split_lists(root: Path, names: dict[str, str], ending: str = ".jpg") -> None:
    for split, name in names.items():
        (root / name).write_text("".join(f"{k}{ending}\n" for k in SPLIT if SPLIT[k] == split))


F8K = {s: f"Flickr_8k.{n}Images.txt" for s, n in (("train", "train"), ("validation", "dev"), ("test", "test"))}
F30K = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}


def test_every_layout_of_flickr8k_gives_the_same_items(root: Path) -> None:
    text = root / "Flickr8k_text"
    text.mkdir()
    split_lists(text, F8K)
    tokens(text, "Flickr8k.token.txt")
    assert items(listed("flickr8k", root)) == KNOWN
    kaggle(root)
    assert items(listed("flickr8k", root)) == KNOWN
    assert items(listed("flickr8k", root / "captions.txt")) == KNOWN  # the root may be the listing
    (root / "ann_file").mkdir()
    blip(root / "ann_file", "flickr8k_{}.json")
    assert {r.listing for r in listed("flickr8k", root)} == {f"flickr8k_{s}.json" for s in ("train", "val", "test")}
    assert items(listed("flickr8k", root)) == KNOWN
    karpathy(root, "dataset_flickr8k.json")
    assert {r.listing for r in listed("flickr8k", root)} == {"dataset_flickr8k.json"}
    assert items(listed("flickr8k", root)) == KNOWN
    for csv in ("captions.txt", "Flickr8k_text/Flickr8k.token.txt", "ann_file", "ann_file/flickr8k_val.json"):
        found = listed("flickr8k", root, csv=csv)
        assert items(found) == KNOWN, csv
        assert "dataset_flickr8k.json" not in {r.listing for r in found}


def test_every_layout_of_flickr30k_gives_the_same_items(root: Path) -> None:
    (root / "images").rename(root / "flickr30k-images")
    split_lists(root, F30K, ending="")
    tokens(root, "results_20130124.token")
    assert items(listed("flickr30k", root)) == KNOWN
    bars(root)
    assert {r.listing for r in listed("flickr30k", root)} == {"results.csv"}
    assert items(listed("flickr30k", root)) == KNOWN
    blip(root, "flickr30k_{}.json")  # it says images/, the folder is called otherwise
    assert items(listed("flickr30k", root)) == KNOWN
    karpathy(root, "dataset.json")
    assert items(listed("flickr30k", root)) == KNOWN


def test_every_layout_of_coco(root: Path) -> None:
    (root / "val2014").mkdir()
    (root / "images" / "a.jpg").rename(root / "val2014" / "a.jpg")
    images = [{"id": n, "file_name": f"{k}.jpg"} for n, k in enumerate("bcad")]
    (root / "annotations").mkdir()
    for file, names in (("captions_train2014.json", "ab"), ("captions_val2014.json", "cd")):
        notes = [{"image_id": "bcad".index(k), "caption": c} for k in names for c in CAPTIONS[k]]
        (root / "annotations" / file).write_text(json.dumps({"images": images, "annotations": notes}))
    official = {k: ("validation" if k in "cd" else "train", CAPTIONS[k], f"{k}.jpg") for k in CAPTIONS}
    assert items(listed("coco", root)) == official
    blip(root, "coco_karpathy_{}.json")
    assert items(listed("coco", root)) == KNOWN
    karpathy(root, "dataset_coco.json", split="restval", filepath="val2014")
    found = listed("coco", root)
    assert items(found) == KNOWN  # what Karpathy calls restval is trained on
    assert next(r.media["image"].path for r in found if isinstance(r, Row)) == root / "val2014" / "a.jpg"


def test_without_split_lists_splits_are_carved(root: Path, tmp_path: Path) -> None:
    kaggle(root)
    assert {r.split for r in listed("flickr8k", root) if isinstance(r, Row)} == {None}
    settings = PrepareSettings(image_size=4, test=0.25, validation=0.25)
    store = prepare("flickr8k", root, tmp_path / "s", settings=settings, workers=1, progress=False)
    assert [len(store.rows(s)) for s in ("train", "validation", "test")] == [2, 1, 1]


# -- what does not fit -------------------------------------------------------------------------------------------------


def test_what_is_missing_is_listed_as_skipped(root: Path, tmp_path: Path) -> None:
    split_lists(root, F8K)
    kaggle(root)
    (root / F8K["test"]).write_text("")
    (root / "images" / "b.jpg").unlink()
    with (root / "captions.txt").open("a") as file:
        file.write("a.jpg, \n")
    store = prepare("flickr8k", root, tmp_path / "s", settings=PrepareSettings(image_size=4), workers=1, progress=False)
    assert list(store.ids) == ["a", "c"]
    assert store.captions[0] == CAPTIONS["a"]
    assert {s["id"]: s["reason"] for s in store.skipped} == {
        "a": "a caption is blank",
        "b": "the picture b.jpg is not here",
        "d": "d.jpg is in no split list",
    }
    assert {s["row"] for s in store.skipped} == {4, 8, 10}


def test_a_picture_that_cannot_be_read_names_file_and_row(root: Path, tmp_path: Path) -> None:
    kaggle(root)
    (root / "images" / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"captions\.txt, row 4 \(images/b\.jpg\)"):
        prepare("flickr8k", root, tmp_path / "s", workers=1, progress=False)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"filename": None}, "filename"),
        ({"filename": "../x.jpg"}, "leads out"),
        ({"filename": "/x.jpg"}, "leads out"),
        ({"filename": "x\0.jpg"}, "leads out"),
        ({"filename": ""}, "leads out"),
        ({"split": "holdout"}, "unknown split"),
        ({"split": 3}, "split is 3"),
        ({"sentences": "x"}, "sentences"),
        ({"sentences": [3]}, "sentences"),
        ({"sentences": [{"tokens": []}]}, "caption is None"),
        ({"sentences": [{"raw": "\ud800"}]}, "Unicode"),
        ({"sentences": []}, "no caption"),
    ],
)
def test_a_bad_entry_names_file_and_row(root: Path, changes: dict[str, Any], word: str) -> None:
    karpathy(root, "dataset_flickr8k.json", **changes)
    ((file, number, fatal, reason),) = bad(listed("flickr8k", root))
    assert (file, number, fatal) == ("dataset_flickr8k.json", 1, True)
    assert word in reason


def test_bad_lines_name_file_and_row(root: Path) -> None:
    (root / "Flickr8k.token.txt").write_text("a.jpg#0\tA dog\n\nb.jpg A man\n#0\tx\n")
    found = listed("flickr8k", root)
    assert [(f, n, fatal) for f, n, fatal, _ in bad(found)] == [("Flickr8k.token.txt", n, True) for n in (3, 4)]
    assert list(items(found)) == ["a"]
    (root / "captions.txt").write_text("image,caption\na.jpg,A dog, running\nb.jpg,A man\n")
    assert bad(listed("flickr8k", root)) == [("captions.txt", 2, True, "has 3 cells, the first line has 2")]
    blip(root, "flickr8k_{}.json")
    (root / "flickr8k_train.json").write_text(json.dumps([3, {"image": "a.jpg"}, {"caption": "x"}]))
    assert [(n, r) for _, n, _, r in bad(listed("flickr8k", root))] == [
        (1, "is not a JSON object"),
        (2, "caption is None, not a text"),
        (3, "image is None, not a text"),
    ]


@pytest.mark.parametrize("content", ["{", "3", "{}", '{"images": 3}', '{"annotations": [{}]}', "[" * 100_000])
def test_json_of_another_form(root: Path, content: str) -> None:
    (root / "dataset_flickr8k.json").write_text(content)
    with pytest.raises(DataError, match=r"dataset_flickr8k\.json"):
        listed("flickr8k", root)


def test_annotations_of_no_image(root: Path) -> None:
    notes = [{"image_id": n, "caption": "x"} for n in (1, 2, [3])]
    (root / "captions_train2014.json").write_text(
        json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": notes})
    )
    found = listed("coco", root)
    assert list(items(found)) == ["a"]
    assert [(n, r) for _, n, _, r in bad(found)] == [
        (2, "the image_id 2 is that of no image"),
        (3, "the image_id [3] is that of no image"),
    ]


def test_where_nothing_is(root: Path) -> None:
    with pytest.raises(DataError, match=r"dataset_flickr8k\.json.*captions\.txt"):
        listed("flickr8k", root)
    with pytest.raises(DataError, match="no captions are here"):
        listed("flickr8k", root, csv="captions.txt")
    with pytest.raises(DataError, match="no captions are here"):
        listed("flickr8k", root, csv="images")
    with pytest.raises(DataError, match="leads out"):
        listed("flickr8k", root, csv="../x.json")
    (root / "captions.txt").write_text("name,text\n")
    with pytest.raises(DataError, match=r"captions\.txt.*names no column"):
        listed("flickr8k", root)
    (root / "captions.txt").write_bytes(b"image,caption\na.jpg,\xff\n")
    with pytest.raises(DataError, match=r"captions\.txt"):
        listed("flickr8k", root)
    kaggle(root)
    with pytest.raises(DataError, match="no such folder of pictures"):
        listed("flickr8k", root, clips="nowhere")
    (root / F8K["train"]).write_text("a.jpg\n")
    (root / F8K["test"]).write_text("b.jpg\na.jpg\n")
    with pytest.raises(DataError, match=r"testImages\.txt, line 2.*list of train"):
        listed("flickr8k", root)


def test_all_pictures_missing_says_so(root: Path, tmp_path: Path) -> None:
    kaggle(root)
    with pytest.raises(DataError, match=r"lists no item\n.*4 rows are bad.*a\.jpg is not here"):
        prepare("flickr8k", root, tmp_path / "s", settings=PrepareSettings(clips="."), workers=1, progress=False)


# -- pixels ------------------------------------------------------------------------------------------------------------


def test_pictures_are_bicubic_and_clip_normalised(root: Path, tmp_path: Path) -> None:
    kaggle(root)
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "images" / "a.png")
    text = (root / "captions.txt").read_text().replace("a.jpg", "a.png")
    (root / "captions.txt").write_text(text)
    default = prepare("flickr8k", root, tmp_path / "s", workers=1, progress=False)
    assert default.modalities["image"].shape == (3, 224, 224)
    assert (default.modalities["image"].mean, default.modalities["image"].std) == CLIP
    known = np.asarray(Image.fromarray(noise).resize((224, 224), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    row = list(default.ids).index("a")
    assert np.array_equal(default.stored("image", [row])[0].numpy(), known)
    mean, std = (np.array(c)[:, None, None] for c in CLIP)
    assert np.allclose(default.batch("image", [row])[0].numpy(), (known / 255 - mean) / std, atol=1e-6)
    small = PrepareSettings(image_size=8, channels=1, normalisation="store", modalities=("image",))
    grey = prepare("flickr8k", root, tmp_path / "g", settings=small, workers=1, progress=False)
    assert grey.modalities["image"].shape == (1, 8, 8)
    assert grey.modalities["image"].mean[0] != pytest.approx(0.46, abs=1e-3)


def test_clips_constants_for_ones_own_data(root: Path, tmp_path: Path) -> None:
    (root / "manifest.csv").write_text("image,caption\nimages/a.jpg,A dog\nimages/b.jpg,A man\n")
    for name, mean in (("clip", CLIP[0]), ("papers", (0.425, 0.396, 0.370))):
        settings = PrepareSettings(image_size=4, normalisation=name)
        store = prepare("manifest", root, tmp_path / name, settings=settings, workers=1, progress=False)
        assert store.modalities["image"].mean == mean
    with pytest.raises(ConfigError, match="Did you mean 'clip'"):
        PrepareSettings(normalisation="clp")


def test_they_are_listed() -> None:
    assert {"flickr8k", "flickr30k", "coco"} <= {d["name"] for d in datasets()}


# -- the real thing ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flickr(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> PairedStore:
    out = tmp_path_factory.mktemp("flickr") / "store"
    settings = PrepareSettings(image_size=16)
    return prepare("flickr8k", shared / "flickr8k_1k", out, settings=settings, workers=1, progress=False)


def test_flickr8k_as_it_is(flickr: PairedStore) -> None:
    assert [len(flickr.rows(s)) for s in ("train", "validation", "test")] == [753, 113, 125]
    assert flickr.captions.total == 5 * 991
    assert not flickr.skipped
    assert flickr.classes == ()
    row = list(flickr.ids).index("1000268201_693b08cb0e")
    assert flickr.captions[row][1] == "A girl going into a wooden building ."


def test_its_layouts_agree(shared: Path) -> None:
    root = shared / "flickr8k_1k"
    found = [listed("flickr8k", root, csv=c) for c in ("dataset_flickr8k.json", "ann_file", "captions.txt")]
    first, *others = map(items, found)
    assert len(first) == 991
    assert all(other == first for other in others)
    assert [len(bad(f)) for f in found] == [0, 0, 9]  # nine are in no official list
