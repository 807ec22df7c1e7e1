"""Stores: what is written comes back, and what was touched is refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data import cache_root, open_data
from limbeck.data.store import PairedStore
from limbeck.data.toy import make_toy
from limbeck.data.writer import StoreWriter
from limbeck.errors import ConfigError, DataError, FormatError, ShapeError
from limbeck.files import digest_of
from limbeck.modalities import Audio, Depth, Image


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> PairedStore:
    path = tmp_path_factory.mktemp("stores") / "toy"
    return make_toy(path, modalities=("image", "depth", "audio", "text", "feature"), per_class=(6, 2, 2), classes=3)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "toy", per_class=(3, 1, 1), classes=2, image_size=4, mel=(4, 4)).path


def reseal(path: Path, **changes: object) -> None:
    """Edit store.json as somebody would who knows how its seal is made."""
    meta = json.loads((path / "store.json").read_text())
    meta.update(changes)
    meta.pop("seal")
    meta["seal"] = digest_of(meta)
    (path / "store.json").write_text(json.dumps(meta))


def test_open_gives_back_what_was_written(toy: PairedStore) -> None:
    again = PairedStore.open(toy.path, verify="full")
    assert len(again) == 30
    assert list(again.modalities) == ["image", "depth", "audio", "text", "feature"]
    assert again.classes == ("class 0", "class 1", "class 2")
    assert again.splits == ("train", "validation", "test")
    assert again.ids[0] == "toy000000"
    assert again.ids[-1] == "toy000029"
    assert again.captions[29] == ("a toy of class 2, number 29",)
    assert again.data_hash == toy.data_hash
    assert again.settings["difficulty"] == 0.5
    json.dumps(again.summary())
    assert again.summary()["captions"] == 30
    assert again.summary()["classes"]["class 1"] == {"train": 6, "validation": 2, "test": 2}


def test_rows_are_the_split_and_class(toy: PairedStore) -> None:
    assert toy.rows().tolist() == list(range(30))
    assert toy.rows("train").tolist() == list(range(18))
    assert toy.rows("train", 1).tolist() == [6, 7, 8, 9, 10, 11]
    assert toy.rows("test", 2).tolist() == [28, 29]
    assert toy.rows(label=0).tolist() == [0, 1, 2, 3, 4, 5, 18, 19, 24, 25]
    assert (toy.labels[toy.rows(label=2)] == 2).all()
    with pytest.raises(ConfigError, match="validation"):
        toy.rows("val")
    with pytest.raises(ConfigError, match="unknown label"):
        toy.rows("train", 3)
    with pytest.raises(DataError, match="no item"):
        toy.rows("train", -1)


def test_stored_and_batch_agree_with_the_files(toy: PairedStore) -> None:
    rows = [7, 0, 7]
    for name, modality in toy.modalities.items():
        raw = np.load(toy.path / f"{name}.npy", allow_pickle=False)[rows]
        stored = toy.stored(name, rows)
        assert stored.dtype == getattr(torch, modality.dtype)
        assert np.array_equal(stored.numpy(), raw)
        batch = toy.batch(name, torch.tensor(rows))
        assert batch.dtype == torch.float32
        assert torch.equal(batch, modality.normalise(torch.from_numpy(raw)))
    with pytest.raises(ShapeError, match=r"0\.\.29"):
        toy.stored("image", [-1])
    with pytest.raises(ShapeError, match=r"0\.\.29"):
        toy.stored("image", [30])
    with pytest.raises(ConfigError, match="image"):
        toy.stored("imge", [0])


def test_kept_bytes_give_the_same_batches(toy: PairedStore) -> None:
    store = PairedStore.open(toy.path)
    store.keep_on("meta")  # a device that is not the CPU and is everywhere
    assert store.batch("depth", [1, 2], "meta").shape == (2, 1, 16, 16)
    before = store.batch("depth", [1, 2])
    store.keep_on("cpu")
    assert torch.equal(before, store.batch("depth", [1, 2]))


def test_rows_are_views_nobody_can_change(toy: PairedStore) -> None:
    assert np.shares_memory(toy.rows("train", 1), toy.rows("train", 1))
    assert toy.rows("train") is toy.rows("train")
    assert toy.rows(label=0) is toy.rows(label=0)
    for rows in (toy.rows("train", 1), toy.rows("train"), toy.rows(label=0), toy.rows()):
        with pytest.raises(ValueError, match="read-only"):
            rows[0] = 3
    store = PairedStore.open(toy.path)
    store.keep_on("meta")
    assert store.batch("image", store.rows("train", 1), "meta").shape == (6, 3, 16, 16)


def test_only_what_is_named_and_not_there_yet_is_kept(toy: PairedStore) -> None:
    store = PairedStore.open(toy.path)
    store.keep_on("meta", ["audio", "text"])
    meta = torch.device("meta")
    assert set(store._kept) == {("audio", meta), ("text", meta)}
    first = store._kept["audio", meta]
    store.keep_on("meta", names=["audio"])
    assert store._kept["audio", meta] is first
    with pytest.raises(ConfigError, match="audio"):
        store.keep_on("meta", ["audo"])


def test_what_would_fill_a_gpu_stays_mapped(toy: PairedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store, empty = PairedStore.open(toy.path), torch.empty
    size = {name: array.nbytes for name, array in store._arrays.items()}
    assert size["image"] > size["feature"]
    free = [int(1.5 * size["image"]) - 1, int(1.5 * size["feature"]) + 1]
    made: list[tuple[int, ...]] = []

    def on_the_cpu(shape: tuple[int, ...], dtype: torch.dtype, **_: object) -> torch.Tensor:
        made.append(shape)
        return empty(shape, dtype=dtype)

    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (free.pop(0), 1 << 40))
    monkeypatch.setattr("torch.empty", on_the_cpu)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, _: self)
    store.keep_on("cuda:0", ["image", "feature"])
    assert made == [(30, 16)]
    assert set(store._kept) == {("feature", torch.device("cuda:0"))}


def test_standardised_columns_have_mean_0_and_std_1_on_train(toy: PairedStore) -> None:
    for name in ("audio", "depth", "feature"):
        values = toy.batch(name, toy.rows("train")).double()
        assert abs(float(values.mean())) < 1e-4
        assert abs(float(values.std(unbiased=False)) - 1) < 1e-3
    assert toy.modalities["image"].mean == (0.425, 0.396, 0.370)
    assert toy.modalities["text"].std == (1.0,)


def test_data_hash_is_of_the_content_only(tmp_path: Path) -> None:
    sizes = {"classes": 2, "per_class": (2, 0, 1), "image_size": 4, "mel": (4, 4)}
    first = make_toy(tmp_path / "a", **sizes)
    second = make_toy(tmp_path / "elsewhere", **sizes)
    other = make_toy(tmp_path / "c", **sizes, seed=1)
    uncaptioned = make_toy(tmp_path / "d", **sizes, captions=False)
    assert first.data_hash == second.data_hash
    assert len({first.data_hash, other.data_hash, uncaptioned.data_hash}) == 3
    assert first.splits == ("train", "test")
    with pytest.raises(DataError, match="validation"):
        first.rows("validation")


def test_a_changed_byte_is_refused(copy: Path) -> None:
    for file in sorted(copy.glob("*.npy")):
        good = file.read_bytes()
        file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(FormatError, match=file.name):
            PairedStore.open(copy)
        file.write_bytes(good)
    PairedStore.open(copy)


def test_a_truncated_missing_or_longer_file_is_refused(copy: Path) -> None:
    for file in sorted(copy.glob("*.npy")):
        good = file.read_bytes()
        for bad in (good[:-3], good[:20], b"", good + b"x"):
            file.write_bytes(bad)
            with pytest.raises(FormatError, match=file.name):
                PairedStore.open(copy, verify=False)
        file.unlink()
        with pytest.raises(FormatError, match=file.name):
            PairedStore.open(copy, verify=False)
        file.write_bytes(good)


def test_object_arrays_are_never_read(copy: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, ("exploded",)

    with (copy / "image.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (10, 3, 4, 4)})
        file.write(pickle.dumps(np.array([Bomb()], dtype=object)))
    with pytest.raises(FormatError, match=r"image\.npy"):
        PairedStore.open(copy)
    assert not Path("exploded").exists()


def test_a_sealed_half_character_is_refused(copy: Path) -> None:
    meta = json.loads((copy / "store.json").read_text())
    (copy / "store.json").write_text(json.dumps({**meta, "classes": ["\ud800", "b"]}))
    with pytest.raises(FormatError, match=r"store\.json"):
        PairedStore.open(copy)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": "limbeck-store"}', "[" * 100_000, "\x00", '{"a": NaN}']
)
def test_a_store_json_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / "store.json").write_text(text)
    with pytest.raises(FormatError, match=r"store\.json"):
        PairedStore.open(copy)


def test_an_edited_store_json_is_refused(copy: Path) -> None:
    file = copy / "store.json"
    file.write_text(file.read_text().replace('"difficulty": 0.5', '"difficulty": 0.1'))
    with pytest.raises(FormatError, match="edited"):
        PairedStore.open(copy)


def test_hostile_store_json_is_refused_even_if_sealed(copy: Path) -> None:
    meta = json.loads((copy / "store.json").read_text())
    image, audio = meta["modalities"]
    hostile: list[dict[str, object]] = [
        {"modalities": [{**image, "name": "../../secret"}, audio]},
        {"modalities": [{**image, "name": "/etc/passwd"}, audio]},
        {"modalities": [{**image, "kind": "pickle"}, audio]},
        {"modalities": [{**image, "shape": [1 << 40, 1 << 40]}, audio]},
        {"modalities": [{**image, "shape": [-1, 4, 4]}, audio]},
        {"modalities": [{**image, "shape": []}, audio]},
        {"modalities": [image, {**audio, "scale": "loud"}]},
        {"modalities": [image, image]},
        {"modalities": []},
        {"hashes": {**meta["hashes"], "../../x.npy": "0"}},
        {"items": 10**18},
        {"items": True},
        {"items": -1},
        {"sizes": {"ids_bytes": -5, "captions": 1, "captions_bytes": 1}},
        {"classes": [1, 2]},
        {"version": 2},
        {"version": "1"},
        {"data_hash": "0" * 64},
    ]
    for changes in hostile:
        reseal(copy, **changes)
        with pytest.raises(FormatError, match=r"store\.json|npy"):
            PairedStore.open(copy, verify=False)
        reseal(copy, **meta)
    PairedStore.open(copy)


def test_wrong_index_numbers_are_refused(copy: Path) -> None:
    changed = {
        "index.labels.npy": 9,
        "index.splits.npy": 7,
        "index.ids_offsets.npy": 1 << 40,
        "index.captions_items.npy": -3,
        "index.captions_offsets.npy": -(1 << 62),
    }
    for name, value in changed.items():
        good = (copy / name).read_bytes()
        array = np.load(copy / name)
        array[1] = value
        np.save(copy / name, array)
        with pytest.raises(FormatError, match=name):
            PairedStore.open(copy, verify=False)
        (copy / name).write_bytes(good)


def test_a_large_store_is_checked_by_samples(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.data.store.FULL_HASH_BYTES", 10)
    PairedStore.open(copy)
    good = (copy / "image.npy").read_bytes()
    (copy / "image.npy").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(FormatError, match=r"image\.npy"):
        PairedStore.open(copy)
    with pytest.raises(FormatError, match=r"image\.npy"):
        PairedStore.open(copy, verify="full")


def test_opening_and_sampling_copies_nothing(tmp_path: Path) -> None:
    store = make_toy(tmp_path / "toy", modalities=("image",), per_class=(50, 0, 0), image_size=64)
    array = store._arrays["image"]
    assert isinstance(array, np.memmap)
    assert isinstance(store.labels, np.memmap)
    assert not array.flags.writeable


def test_open_data_resolves_names_paths_and_stores(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    assert cache_root() == tmp_path / "cache"
    store = open_data(str(copy))
    assert open_data(store) is store
    first = open_data("toy")
    assert open_data("toy").data_hash == first.data_hash
    with pytest.raises(DataError, match="digits"):
        open_data("digit")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="limbeck prepare"):
        open_data(tmp_path / "empty")
    monkeypatch.delenv("LIMBECK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "limbeck"


# -- the writer ----------------------------------------------------------------------------------------------------


def new_writer(path: Path, **changes: object) -> StoreWriter:
    arguments: dict[str, object] = {
        "name": "test",
        "modalities": [Image(shape=(1, 2, 2)), Depth(shape=(1, 2, 2))],
        "classes": ["a", "b"],
        "settings": {"size": 2},
        "capacity": 6,
        **changes,
    }
    return StoreWriter(path, **arguments)  # type: ignore[arg-type]


def put(writer: StoreWriter, row: int, **changes: object) -> None:
    arrays = {"image": np.full((1, 2, 2), row, np.uint8), "depth": np.full((1, 2, 2), 60_000 + row, np.uint16)}
    item = {"id": f"i{row}", "label": row % 2, "captions": ("ü",) * (row % 3), "arrays": arrays, **changes}
    writer.write(row, **item)  # type: ignore[arg-type]


def test_skipped_rows_are_left_out_and_listed(tmp_path: Path) -> None:
    with new_writer(tmp_path / "s") as writer:
        for row in (5, 0, 2, 3):
            put(writer, row)
        writer.skip(1, id="bad", reason="silent", file="x.wav", source_row=17)
        writer.skip(4, id="worse", reason="truncated")
        store = writer.finish()
    assert list(store.ids) == ["i0", "i2", "i3", "i5"]
    assert store.stored("image", [0, 1, 2, 3])[:, 0, 0, 0].tolist() == [0, 2, 3, 5]
    assert store.stored("depth", [3])[0, 0, 0, 0].item() == 60_005
    assert [len(c) for c in store.captions] == [0, 2, 0, 2]
    assert store.captions[1] == ("ü", "ü")
    assert store.skipped == [
        {"id": "bad", "row": 17, "file": "x.wav", "reason": "silent"},
        {"id": "worse", "row": 4, "file": None, "reason": "truncated"},
    ]
    assert {p.name for p in tmp_path.iterdir()} == {"s"}
    PairedStore.open(store.path, verify="full")


def test_an_interrupted_writer_goes_on(tmp_path: Path) -> None:
    with new_writer(tmp_path / "whole") as writer:
        for row in range(6):
            put(writer, row)
        whole = writer.finish()
    with new_writer(tmp_path / "s") as writer:
        for row in (0, 1, 5):
            put(writer, row)
    with (tmp_path / "s.partial" / "rows.jsonl").open("ab") as file:
        file.write(b'{"row": 2, "id"')  # a line the kill cut short
    with (tmp_path / "s.partial" / "image.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")  # row 5's bytes never reached the disk
    with pytest.raises(DataError, match="limbeck prepare"):
        PairedStore.open(tmp_path / "s")
    with new_writer(tmp_path / "s") as writer:
        assert [writer.done(row) for row in range(6)] == [True, True, False, False, False, False]
        for row in (5, 4, 3, 2):
            put(writer, row)
        store = writer.finish()
    assert store.data_hash == whole.data_hash


def test_a_kill_while_finishing_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: Path, skip: bool) -> StoreWriter:
        writer = new_writer(path)
        for row in range(6):
            if not writer.done(row):
                writer.skip(row, id="bad", reason="bad") if skip and row == 2 else put(writer, row)
        return writer

    real = Path.rename
    for skip in (False, True):
        reference = fill(tmp_path / f"reference{skip}", skip).finish()
        for survives in range(3):
            path = tmp_path / f"s{skip}{survives}"
            calls = iter(range(100))

            def rename(self: Path, target: Path, calls=calls, survives=survives) -> Path:  # type: ignore[no-untyped-def]
                if next(calls) >= survives:
                    raise KeyboardInterrupt
                return real(self, target)

            writer = fill(path, skip)
            monkeypatch.setattr(Path, "rename", rename)
            if skip and survives > 0:  # gaps: the arrays are copied, the one rename is the folder's
                writer.finish()
            else:
                with pytest.raises(KeyboardInterrupt):
                    writer.finish()
                assert not path.exists()
                writer.close()
                monkeypatch.setattr(Path, "rename", real)
                fill(path, skip).finish()
            monkeypatch.setattr(Path, "rename", real)
            assert PairedStore.open(path, verify="full").data_hash == reference.data_hash


def test_a_staging_folder_of_other_settings_is_not_taken_up(tmp_path: Path) -> None:
    from limbeck.errors import ResumeError

    with new_writer(tmp_path / "s") as writer:
        put(writer, 0)
    with pytest.raises(ResumeError, match="size"):
        new_writer(tmp_path / "s", settings={"size": 3})
    with pytest.raises(ResumeError, match="capacity"):
        new_writer(tmp_path / "s", capacity=7)
    with new_writer(tmp_path / "s", settings={"size": 3}, resume=False) as writer:
        assert not writer.done(0)


def test_rows_of_a_changed_source_and_skipped_ones_are_done_again(tmp_path: Path) -> None:
    with new_writer(tmp_path / "s") as writer:
        put(writer, 0, stamp="old")
        writer.skip(1, id="bad", reason="silent", stamp="old")
        put(writer, 2)
    with new_writer(tmp_path / "s") as writer:
        assert [writer.done(row, "old") for row in range(4)] == [True, True, False, False]
        assert [writer.done(row, "new") for row in range(4)] == [False, False, False, False]
        assert writer.done(2)
        writer.redo_skipped()
        assert [writer.done(row, "old") for row in range(2)] == [True, False]
        put(writer, 1, stamp="new")
    with new_writer(tmp_path / "s") as writer:
        assert writer.done(1, "new")


def test_an_unfinished_plan_that_cannot_be_read_is_not_taken_up(tmp_path: Path) -> None:
    from limbeck.errors import ResumeError

    new_writer(tmp_path / "s").close()
    (tmp_path / "s.partial" / "plan.json").write_text("{")
    with pytest.raises(ResumeError, match="unfinished"):
        new_writer(tmp_path / "s")


@pytest.mark.parametrize("path", ["/dev/null/q", "/dev/null/q/r", "x" * 300])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        new_writer(tmp_path / path)


def test_a_class_of_half_a_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Unicode"):
        new_writer(tmp_path / "s", classes=["a", "\ud800"])


def test_two_writers_do_not_share_a_folder(tmp_path: Path) -> None:
    with new_writer(tmp_path / "s"), pytest.raises(DataError, match="another process"):
        new_writer(tmp_path / "s")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with new_writer(tmp_path / "s") as writer:
        image, depth = np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint16)
        for arrays in (
            {"image": image},
            {"image": image, "depth": depth, "audio": image},
            {"image": image.astype(np.float32), "depth": depth},
            {"image": np.zeros((3, 2, 2), np.uint8), "depth": depth},
        ):
            with pytest.raises(DataError, match="i0"):
                put(writer, 0, arrays=arrays)
        with pytest.raises(DataError, match="label 2"):
            put(writer, 0, label=2)
        with pytest.raises(DataError, match="validation"):
            put(writer, 0, split="val")
        with pytest.raises(DataError, match="Unicode"):
            put(writer, 0, id="\udcff")
        with pytest.raises(ConfigError, match="rows"):
            put(writer, 6)
        assert not writer.done(0)
        with pytest.raises(DataError, match="neither written nor skipped"):
            writer.finish()


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    for bad in (np.nan, np.inf):
        with new_writer(tmp_path / "s", modalities=[Audio(shape=(1, 2, 2))], resume=False) as writer:
            array = np.full((1, 2, 2), bad, np.float16)
            with pytest.raises(DataError, match="finite"):
                put(writer, 0, arrays={"audio": array})


def test_duplicate_ids_empty_classes_and_empty_stores_are_refused(tmp_path: Path) -> None:
    with new_writer(tmp_path / "a", capacity=2) as writer:
        put(writer, 0, id="same")
        put(writer, 1, id="same")
        with pytest.raises(DataError, match="'same'"):
            writer.finish()
    with new_writer(tmp_path / "b", capacity=2, classes=["a", "b", "c"]) as writer:
        put(writer, 0)
        put(writer, 1)
        with pytest.raises(DataError, match="'c'"):
            writer.finish()
    with new_writer(tmp_path / "c", capacity=1) as writer:
        writer.skip(0, id="x", reason="it was silent")
        with pytest.raises(DataError, match="it was silent"):
            writer.finish()
    with pytest.raises(DataError, match="nothing"):
        new_writer(tmp_path / "d", capacity=0)
    with pytest.raises(ConfigError, match="exists"):
        new_writer(tmp_path)
    with pytest.raises(ConfigError, match=r"\.\./x"):
        new_writer(tmp_path / "e", modalities=[Image(shape=(1, 2, 2), name="../x")])


def test_raw_decibel_stays_raw_and_images_can_be_standardised(tmp_path: Path) -> None:
    kinds = [Audio(shape=(1, 2, 2), scale="decibel"), Image(shape=(3, 2, 2))]
    stores = []
    for k, chosen in enumerate((None, ("image",))):
        with new_writer(tmp_path / f"s{k}", modalities=kinds, classes=["a"], capacity=2) as writer:
            for row in range(2):
                image = np.zeros((3, 2, 2), np.uint8)
                image[1], image[2] = 255 * row, 51
                arrays = {"audio": np.full((1, 2, 2), -30, np.float16), "image": image}
                put(writer, row, label=0, arrays=arrays)
            stores.append(writer.finish(standardise=chosen))
    assert stores[0].modalities["audio"].mean == (0.0,)
    image = stores[1].modalities["image"]
    assert image.mean == pytest.approx((0, 0.5, 0.2))
    assert image.std == pytest.approx((1, 0.5, 1))  # a constant channel is left alone, not divided by zero
