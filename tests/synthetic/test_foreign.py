"""AVDD's published files: read, placed right, scored and shown; refused where they are not what they should be."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import limbeck
from limbeck.cli import main
from limbeck.data.prepare import prepare
from limbeck.data.settings import PrepareSettings
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError, FormatError, LimbeckError, NumericsError
from limbeck.synthetic.foreign import import_avdd

CLASSES, SIDE, BANDS, FRAMES = 3, 16, 16, 12
MEAN, STD = (torch.tensor(c).view(1, 3, 1, 1) for c in ((0.425, 0.396, 0.370), (0.229, 0.224, 0.221)))


def real(n: int, seed: int) -> dict[str, torch.Tensor]:
    """n items: class c is bright where it is high, and loud in its own band."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n, dtype=torch.int32) % CLASSES
    images = torch.randint(0, 80, (n, 3, SIDE, SIDE), generator=generator).float() + 60 * labels.view(-1, 1, 1, 1)
    audio = torch.randn(n, 1, BANDS, FRAMES, generator=generator) * 5 - 40
    for k, label in enumerate(labels.tolist()):
        audio[k, 0, 4 * label] += 40
    return {"images": images, "audio": audio, "labels": labels}


def split(name: str, n: int, seed: int) -> dict[str, Any]:
    found = real(n, seed)
    return {f"{key}_{name}": value for key, value in found.items()} | {"classes": ["bell", "bark", "flute"]}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The real set as AVDD's authors host it."""
    root = tmp_path / "published"
    for name, n in (("train", 30), ("test", 9)):
        (root / f"{name}_data").mkdir(parents=True)
        torch.save(split(name, n, n), root / f"{name}_data" / f"ave_{name}.pt")
    return root


def made(root: Path, out: Path, **settings: Any) -> PairedStore:
    return prepare("avdd_tensors", root, out, settings=PrepareSettings(**settings), progress=False, workers=1)


@pytest.fixture
def store(published: Path, tmp_path: Path) -> PairedStore:
    return made(published, tmp_path / "store")


# -- the real set ------------------------------------------------------------------------------------------------------


def test_tensors_become_a_store_with_the_same_numbers(published: Path, store: PairedStore, tmp_path: Path) -> None:
    source = split("train", 30, 30)
    assert store.classes == ("bell", "bark", "flute")
    assert store.summary()["splits"] == {"train": 30, "test": 9}
    row = list(store.ids).index("train-000007")
    assert store.labels[row] == 1
    assert torch.equal(store.stored("image", [row])[0], source["images_train"][7].byte())
    assert torch.equal(store.stored("audio", [row])[0], source["audio_train"][7].half())
    assert store.modalities["audio"].mean != (0.0,)
    raw = made(published, tmp_path / "raw", mel="decibel")
    assert torch.equal(raw.batch("audio", [row]), raw.stored("audio", [row]).float())
    theirs = (source["images_train"][7] / 255 - MEAN) / STD
    torch.testing.assert_close(raw.batch("image", [row]), theirs)


def test_one_file_may_hold_both_splits_and_classes_may_have_files_of_their_own(tmp_path: Path) -> None:
    both = tmp_path / "vgg_subset.pt"
    columns = ["vid", "num", "label", "split", "label_id"]  # what AVDD's script saved as classes
    torch.save(split("train", 30, 1) | split("test", 9, 2) | {"classes": columns}, both)
    store = made(both, tmp_path / "both")
    assert store.classes == ("chicken crowing", "toilet flushing", "playing acoustic guitar")
    single = tmp_path / "hosted" / "class_wise_train_vgg_subset"
    single.mkdir(parents=True)
    source = split("train", 30, 1)
    for c in range(CLASSES):
        chosen = source["labels_train"] == c
        held = {"images": source["images_train"][chosen], "audio": source["audio_train"][chosen]}
        torch.save(held, single / f"train_{c}.pt")
    torch.save(split("test", 9, 2) | {"classes": columns}, single.parent / "vgg_subset_test.pt")
    by_class = made(single.parent, tmp_path / "by_class")
    assert by_class.classes == store.classes
    assert by_class.summary()["splits"] == store.summary()["splits"]
    for c in range(CLASSES):
        for one in ("image", "audio"):
            assert torch.equal(
                by_class.stored(one, by_class.rows("train", c)), store.stored(one, store.rows("train", c))
            )


def test_which_of_several_sets(published: Path, tmp_path: Path) -> None:
    torch.save(split("test", 9, 3), published / "test_data" / "vgg_test.pt")
    with pytest.raises(DataError, match="ave, vgg"):
        made(published, tmp_path / "s")
    with pytest.raises(DataError, match="Did you mean 'vgg'"):
        made(published, tmp_path / "s", csv="vggs")
    assert made(published, tmp_path / "s", csv="vgg").summary()["splits"] == {"test": 9}
    with pytest.raises(ConfigError, match="as they are"):
        made(published, tmp_path / "t", csv="ave", image_size=32)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of AVDD's tensors"):
        made(tmp_path / "empty", tmp_path / "t")


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def damaged_sets(tmp_path: Path) -> dict[str, Any]:
    good = split("train", 6, 1)
    nan, loud = good["images_train"].clone(), good["audio_train"].clone()
    nan[3, 0, 0, 0], loud[2, 0, 0, 0] = float("nan"), 1e6
    wide = torch.zeros(1).expand(1 << 40)
    return {
        "holds more than numbers": Malicious(tmp_path / "ran"),
        "lacks 'labels_train'": {k: v for k, v in good.items() if k != "labels_train"},
        "lacks images_train": {"audio_train": good["audio_train"]},
        "holds list": [good],
        "4 dimensions": good | {"audio_train": good["audio_train"][:, 0]},
        "spectrograms": good | {"audio_train": good["audio_train"].repeat(1, 2, 1, 1)},
        "5 sounds": good | {"audio_train": good["audio_train"][:5]},
        "does not stand in the file": good | {"labels_train": wide},
        "no tensor": good | {"images_train": "pictures"},
        "whole numbers": good | {"labels_train": good["labels_train"].float()},
        "labels run from -1": good | {"labels_train": good["labels_train"] - 1},
        "images_train 3 holds values that are not finite": good | {"images_train": nan},
        "a picture from 0 to 255": good | {"images_train": good["images_train"] * 3},
        "audio_train 2 holds values beyond": good | {"audio_train": loud},
    }


@pytest.mark.parametrize("message", damaged_sets(Path()))
def test_damaged_and_hostile_tensors_are_named(message: str, tmp_path: Path) -> None:
    path = tmp_path / "ave_train.pt"
    torch.save(damaged_sets(tmp_path)[message], path)
    with pytest.raises((FormatError, DataError), match=message) as caught:
        made(path, tmp_path / "s")
    assert "ave_train.pt" in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04" + bytes(50)])
def test_files_that_are_no_tensors(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "ave_train.pt").write_bytes(data)
    with pytest.raises(FormatError, match=r"ave_train\.pt"):
        made(tmp_path, tmp_path / "s")


def test_a_plain_hostile_pickle_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "ave_train.pt").write_bytes(pickle.dumps(Malicious(tmp_path / "ran")))
    with pytest.raises(FormatError, match=r"ave_train\.pt"):
        made(tmp_path, tmp_path / "s")
    assert not (tmp_path / "ran").exists()


# -- distilled sets ----------------------------------------------------------------------------------------------------


def distilled(per_class: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoded items as AVDD stores them: each quadrant has a value of its own, top-left, bottom-left, and so on."""
    images = torch.zeros(CLASSES * per_class, 3, SIDE, SIDE)
    audio = torch.zeros(CLASSES * per_class, 1, BANDS, FRAMES)
    for x, high, wide in ((images, SIDE // 2, SIDE // 2), (audio, BANDS // 2, FRAMES // 2)):
        for k in range(len(x)):
            for q, (rows, columns) in enumerate(
                (
                    (slice(0, high), slice(0, wide)),  # number_sign_augment of the authors: a
                    (slice(high, None), slice(0, wide)),  # b
                    (slice(0, high), slice(wide, None)),  # c
                    (slice(high, None), slice(wide, None)),  # d
                )
            ):
                x[k, :, rows, columns] = 10 * k + q
    return images, audio - 50


def save_whole(root: Path, experiment: int = 0, step: int = 5000) -> Path:
    root.mkdir()
    images, audio = distilled()
    torch.save(torch.nn.Parameter(audio), root / f"exp_{experiment}_audSyn_{step}.pth")
    torch.save(images.requires_grad_(), root / f"exp_{experiment}_imgSyn_{step}.pth")
    return root


def test_items_decode_quadrant_by_quadrant_in_the_authors_order(store: PairedStore, tmp_path: Path) -> None:
    synthetic = import_avdd(save_whole(tmp_path / "syn"), store, tmp_path / "run")
    batch, labels = limbeck.load(tmp_path / "run").decode()
    assert labels is not None
    assert labels.tolist() == [0, 0, 1, 1, 2, 2] * 4
    wanted = torch.tensor([10.0 * k + q for q in range(4) for k in range(6)]).view(-1, 1, 1, 1)
    torch.testing.assert_close(batch["image"], wanted.expand_as(batch["image"]))
    audio = store.modalities["audio"].denormalise(batch["audio"])
    torch.testing.assert_close(audio, (wanted - 50).expand_as(audio), rtol=1e-4, atol=1e-4)
    assert synthetic.provenance["imported"]["experiment"] == 0
    assert len(synthetic.provenance["imported"]["sha256"]) == 2
    assert synthetic.provenance["data"]["hash"] == store.data_hash


def test_in_raw_decibel_the_numbers_are_the_authors(published: Path, tmp_path: Path) -> None:
    raw = made(published, tmp_path / "raw", mel="decibel")
    synthetic = import_avdd(save_whole(tmp_path / "syn", 2, 1000), raw, tmp_path / "run", experiment=2, step=1000)
    images, audio = distilled()
    assert torch.equal(synthetic.values["image"], images)
    assert torch.equal(synthetic.values["audio"], audio)


def test_files_by_class_are_the_same_set(store: PairedStore, tmp_path: Path) -> None:
    whole = import_avdd(save_whole(tmp_path / "syn"), store, tmp_path / "run")
    images, audio = distilled()
    (tmp_path / "classes").mkdir()
    for c in range(CLASSES):
        rows = slice(2 * c, 2 * c + 2)
        held = {e: {"audio_syn": {5000: audio[rows]}, "image_syn": {5000: images[rows] + e}} for e in range(2)}
        torch.save(held, tmp_path / "classes" / f"class:{c}.pt")
    one, two = (import_avdd(tmp_path / "classes", store, tmp_path / f"run{e}", experiment=e) for e in range(2))
    assert torch.equal(one.values["image"], whole.values["image"])
    assert torch.equal(one.values["audio"], whole.values["audio"])
    torch.testing.assert_close(two.values["image"], whole.values["image"] + 1)
    for arguments, message in (
        ({"experiment": 5}, "no experiment 5"),
        ({"step": 3}, "no step 3"),
    ):
        with pytest.raises(FormatError, match=message):
            import_avdd(tmp_path / "classes", store, tmp_path / "none", **arguments)
    (tmp_path / "classes" / "class:2.pt").unlink()
    with pytest.raises(FormatError, match="class:2"):
        import_avdd(tmp_path / "classes", store, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_sets_that_do_not_fit_are_named(store: PairedStore, tmp_path: Path) -> None:
    images, audio = distilled()
    cases: dict[str, tuple[Any, type[LimbeckError], str]] = {
        "nan": (images * float("nan"), NumericsError, "not finite"),
        "size": (images[..., :8], FormatError, "the store's"),
        "classes": (images[:4], FormatError, "6 audio"),
        "kind": ({"x": images}, FormatError, "no tensor"),
        "hostile": (Malicious(tmp_path / "ran"), FormatError, "more than numbers"),
    }
    for name, (value, kind, message) in cases.items():
        root = save_whole(tmp_path / name)
        torch.save(value, root / "exp_0_imgSyn_5000.pth")
        with pytest.raises(kind, match=message):
            import_avdd(root, store, tmp_path / "none")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "none").exists()
    for name, value in (("imgSyn", images[:5]), ("audSyn", audio[:5])):
        torch.save(value, tmp_path / "nan" / f"exp_0_{name}_5000.pth")
    with pytest.raises(FormatError, match="5 audio items for the 3 classes"):
        import_avdd(tmp_path / "nan", store, tmp_path / "none")
    with pytest.raises(ConfigError, match="exists already"):
        import_avdd(tmp_path / "nan", store, tmp_path)
    with pytest.raises(FormatError, match="no such folder"):
        import_avdd(tmp_path / "missing", store, tmp_path / "none")


def test_one_modality_alone(store: PairedStore, tmp_path: Path) -> None:
    root = save_whole(tmp_path / "syn")
    (root / "exp_0_imgSyn_5000.pth").unlink()
    assert list(import_avdd(root, store, tmp_path / "run").modalities) == ["audio"]


def test_the_whole_walk(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """prepare, import, evaluate, inspect, report, export: as the guide shows it."""
    data, run = str(tmp_path / "data"), str(tmp_path / "run")
    assert main(["prepare", "avdd_tensors", "--root", str(published), "--out", data, "--mel", "decibel"]) == 0
    save_whole(tmp_path / "syn")
    assert main(["import", "avdd", "--root", str(tmp_path / "syn"), "--data", data, "--out", run]) == 0
    capsys.readouterr()
    quick = ["--channels", "8", "--kernels", "literal", "--device", "cpu", "--threads", "1", "--seeds", "0:2", "--json"]
    assert main(["evaluate", run, "--data", data, *quick]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["mean"]) >= {"audio", "image", "fused"}
    assert result["n"] == 2
    assert main(["inspect", run, "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["finished"]
    assert about["synthetic"]["decoded_items"] == 24
    assert main(["report", run]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "AVDD&#39;s published tensors" in page or "AVDD's published tensors" in page
    assert main(["export", run]) == 0
    assert main(["distill", "avdd", "--out", run, "--resume"]) == 2
    assert "this set was imported" in capsys.readouterr().err
    assert len(list((tmp_path / "run" / "export" / "image").iterdir())) == 24
    assert main(["import", "avdd", "--root", data, "--data", data, "--out", run]) == 2
    assert main(["import", "avd", "--root", data, "--data", data, "--out", run]) == 2
    assert "Did you mean 'avdd'" in capsys.readouterr().err
