from __future__ import annotations

import copy
import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import limbeck
from limbeck.errors import ConfigError, FormatError, NumericsError, ShapeError
from limbeck.files import canonical, digest_file, read_json, write_json
from limbeck.modalities import Audio, Depth, Image, Text
from limbeck.rng import stream
from limbeck.synthetic import Budget, SyntheticSet
from limbeck.synthetic.artifact import MANIFEST, TENSORS


@pytest.fixture
def synthetic() -> SyntheticSet:
    image, audio = Image(shape=(3, 16, 16)), Audio(shape=(1, 16, 16), mean=(-40.0,), std=(12.0,))
    return SyntheticSet(
        modalities={"image": image, "audio": audio},
        values={
            "image": torch.randn(6, 3, 16, 16, generator=stream(0, "i")),
            "audio": torch.randn(6, 1, 16, 16, generator=stream(0, "a")),
        },
        labels=torch.tensor([0, 0, 1, 1, 2, 2]),
        classes=("cat", "dög", "<b>"),
        factor=2,
        provenance={"method": "dm", "seed": 3},
    )


def test_decoding_repeats_labels_cell_by_cell(synthetic):
    batch, labels = synthetic.decode()
    assert {k: tuple(v.shape) for k, v in batch.items()} == {"image": (24, 3, 16, 16), "audio": (24, 1, 16, 16)}
    assert labels.tolist() == [0, 0, 1, 1, 2, 2] * 4
    part, some = synthetic.decode(torch.tensor([4, 1]))
    assert some.tolist() == [2, 0] * 4
    assert torch.equal(part["image"][2], batch["image"][6 + 4])


def test_decoding_carries_gradients(synthetic):
    synthetic.values["image"].requires_grad_()
    synthetic.decode()[0]["image"].sum().backward()
    assert synthetic.values["image"].grad.abs().min() > 0


def test_torch_gives_batches_that_train_as_they_are(synthetic):
    dataset = synthetic.torch()
    batch = next(iter(DataLoader(dataset, batch_size=5)))
    assert len(dataset) == 24
    assert batch["image"].shape == (5, 3, 16, 16)
    assert batch["label"].tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(IndexError):
        dataset[24]


def test_an_artifact_comes_back_from_any_place(synthetic, tmp_path):
    synthetic.captions = [(("a", "b"), (), ("c",), ("d",))] * 6
    synthetic.save(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "elsewhere")
    again = limbeck.load(tmp_path / "elsewhere")
    for name, value in synthetic.values.items():
        assert torch.equal(again.values[name], value)
    assert torch.equal(again.labels, synthetic.labels)
    assert (again.modalities, again.classes, again.captions) == (
        synthetic.modalities,
        synthetic.classes,
        synthetic.captions,
    )
    assert (again.factor, again.provenance, again.bytes) == (2, {"method": "dm", "seed": 3}, synthetic.bytes)


def test_saving_again_replaces(synthetic, tmp_path):
    synthetic.save(tmp_path / "one")
    changed = copy.deepcopy(synthetic)
    changed.values["image"] += 1
    changed.save(tmp_path / "one")
    assert torch.equal(limbeck.load(tmp_path / "one").values["image"], changed.values["image"])
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def truncate(folder):
    path = folder / TENSORS
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(folder):
    data = bytearray((folder / TENSORS).read_bytes())
    data[-1] ^= 1
    (folder / TENSORS).write_bytes(data)


def edit_manifest(folder):
    manifest = read_json(folder / MANIFEST)
    manifest["classes"][0] = "other"
    write_json(folder / MANIFEST, manifest)


def cut_manifest(folder):
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text[: len(text) // 2])


def lose_a_key(folder):
    manifest = read_json(folder / MANIFEST)
    del manifest["tensors_sha256"]
    write_json(folder / MANIFEST, manifest)


def from_the_future(folder):
    manifest = read_json(folder / MANIFEST)
    manifest["version"] = 99
    write_json(folder / MANIFEST, manifest)


def lose_tensors(folder):
    (folder / TENSORS).unlink()


@pytest.mark.parametrize(
    ("damage", "file", "message"),
    [
        (truncate, TENSORS, "truncated or edited"),
        (flip_a_bit, TENSORS, "truncated or edited"),
        (edit_manifest, MANIFEST, "truncated or edited"),
        (cut_manifest, MANIFEST, "not readable as JSON"),
        (from_the_future, MANIFEST, "newer than"),
        (lose_tensors, TENSORS, "no such file"),
        (lose_a_key, MANIFEST, "lacks tensors_sha256"),
    ],
)
def test_a_damaged_artifact_is_refused_by_name(synthetic, tmp_path, damage, file, message):
    synthetic.save(tmp_path / "one")
    damage(tmp_path / "one")
    with pytest.raises(FormatError, match=message) as caught:
        limbeck.load(tmp_path / "one")
    assert file in str(caught.value)


def test_a_folder_that_is_nothing_of_ours(tmp_path):
    with pytest.raises(FormatError, match="not a synthetic set"):
        limbeck.load(tmp_path)


def test_items_that_do_not_pair_up_are_refused(synthetic):
    with pytest.raises(ShapeError, match="pair up"):
        SyntheticSet(synthetic.modalities, {**synthetic.values, "audio": synthetic.values["audio"][:5]})
    with pytest.raises(ShapeError, match="labels run"):
        SyntheticSet(synthetic.modalities, synthetic.values, labels=torch.full((6,), 7), classes=("a",))
    with pytest.raises(ConfigError, match="height and width"):
        SyntheticSet({"text": Text(shape=(4,))}, {"text": torch.zeros(2, 4)}, factor=2)


def test_pictures_show_what_the_numbers_mean(synthetic):
    pictures = synthetic.images()
    assert len(pictures) == 24
    assert pictures[0].size == (16, 16)
    image = synthetic.modalities["image"]
    physical = image.denormalise(synthetic.decode()[0]["image"])[3].permute(1, 2, 0).clamp(0, 1) * 255
    assert np.abs(np.asarray(pictures[3], dtype=float) - physical.numpy()).max() <= 0.51


def test_depth_maps_keep_sixteen_bits():
    depth = Depth(shape=(1, 4, 4), mean=(3.0,), std=(0.5,))
    one = SyntheticSet({"depth": depth}, {"depth": torch.zeros(1, 1, 4, 4)})
    assert np.asarray(one.images()[0]).max() == 3000


def test_asking_for_what_is_not_there(synthetic):
    with pytest.raises(ConfigError, match="no modality 'imge'"):
        synthetic.images("imge")
    only = SyntheticSet({"image": synthetic.modalities["image"]}, {"image": synthetic.values["image"]})
    with pytest.raises(ConfigError, match="no sound") as refused:
        only.audio()
    assert "image (image)" in str(refused.value)  # a modality "audio" may be vectors: its kind says so


def test_budget(toy):
    assert Budget(per_class=2).items(4) == 8
    assert Budget(pairs=7).items(4) == 7
    assert Budget(per_class=1).numbers_bytes(4, toy.modalities) == 4 * 4 * (3 * 256 + 256)
    for wrong in ({}, {"per_class": 1, "pairs": 1}, {"per_class": 0}, {"bytes": 0}, {"bytes": 9, "pairs": 1}):
        with pytest.raises(ConfigError, match="budget"):
            Budget(**wrong)


@given(
    st.integers(1, 5),
    st.sampled_from([(1,), (3,)]),
    st.integers(2, 6),
    st.integers(1, 2),
    st.text(max_size=8),
    st.booleans(),
)
@settings(deadline=None, max_examples=25)
def test_any_set_comes_back_as_it_was(tmp_path_factory, items, channels, side, factor, word, labelled):
    image = Image(shape=(*channels, side, side))
    one = SyntheticSet(
        {"image": image},
        {"image": torch.randn(items, *image.shape, generator=stream(items, "p"))},
        labels=torch.arange(items) if labelled else None,
        classes=tuple(f"{word}{i}" for i in range(items)) if labelled else (),
        captions=[((word,),) * factor**2] * items,
        factor=factor,
        provenance={"word": word},
    )
    folder = tmp_path_factory.mktemp("any") / "set"
    again = SyntheticSet.load(one.save(folder))
    assert torch.equal(again.values["image"], one.values["image"])
    assert (again.labels is None) == (one.labels is None)
    assert (again.classes, again.captions, again.factor) == (one.classes, one.captions, one.factor)
    assert again.provenance == one.provenance


def forge(folder, change=None, tensors=None):
    """An artifact whose hashes are right and whose content is what someone wants it to be."""
    from safetensors.torch import load_file, save_file

    if tensors is not None:
        found = load_file(folder / TENSORS)
        save_file({k: v for k, v in {**found, **tensors}.items() if v is not None}, folder / TENSORS)
    manifest = {**read_json(folder / MANIFEST), "tensors_sha256": digest_file(folder / TENSORS), **(change or {})}
    manifest = {k: v for k, v in manifest.items() if k != "sha256" and v is not KeyError}
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    manifest["sha256"] = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


IMAGE = Image(shape=(3, 16, 16)).to_dict()
AUDIO = Audio(shape=(1, 16, 16)).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        *({key: KeyError} for key in ("modalities", "classes", "captions", "factor", "items", "provenance")),
        *({"version": v} for v in (0, -1, True, 1.0, "1", None)),
        *({"factor": v} for v in (0, -2, True, 2.0, "2", None, 17, 10**30)),
        *({"classes": v} for v in ("abc", ["a", "a", "b"], ["a", "b", 3], {"a": 1}, None, ["a"], ["a", "b", "\ud800"])),
        *({"captions": v} for v in ("abcdef", 3, [], [["a"] * 4] * 6, [[["a"]]] * 6, [[[3]] * 4] * 6, ["abcd"] * 6)),
        *({"provenance": v} for v in ([], "x", None, {"x": float("nan")}, {"x": float("inf")}, {"\udfff": 1})),
        *({"modalities": v} for v in (None, [], {}, [IMAGE], [IMAGE, IMAGE], [IMAGE, AUDIO, AUDIO], [IMAGE, 3], "ab")),
        {"modalities": [{**IMAGE, "name": "../../evil"}, AUDIO]},
        {"modalities": [{**IMAGE, "std": [0.0]}, AUDIO]},
        {"modalities": [IMAGE, {**AUDIO, "hop": 0}]},
        {"items": 5},
    ],
)
def test_a_hostile_manifest_is_refused_by_name(synthetic, tmp_path, change):
    synthetic.save(tmp_path / "one")
    forge(tmp_path / "one", change)
    with pytest.raises(FormatError) as caught:
        limbeck.load(tmp_path / "one")
    assert MANIFEST in str(caught.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"labels": torch.zeros(6, dtype=torch.int32)},
        {"labels": torch.zeros(6)},
        {"labels": torch.zeros(6, 1, dtype=torch.int64)},
        {"labels": torch.tensor(1)},
        {"labels": torch.tensor([0, 1, 2, 3, 0, 1])},
        {"labels": torch.tensor([0, 1, 2, -1, 0, 1])},
        {"value.image": None},
        {"value.image": torch.zeros(6, 3, 16, 16, dtype=torch.int64)},
        {"value.image": torch.full((6, 3, 16, 16), float("nan"))},
        {"value.audio": torch.full((6, 1, 16, 16), float("inf"))},
        {"value.audio": torch.tensor(1.0)},
        {"value.audio": torch.zeros(6, 1, 16, 15)},
        {"value.audio": torch.zeros(0, 1, 16, 16), "value.image": torch.zeros(0, 3, 16, 16), "labels": None},
    ],
)
def test_hostile_tensors_are_refused_by_name(synthetic, tmp_path, tensors):
    synthetic.save(tmp_path / "one")
    forge(tmp_path / "one", tensors=tensors)
    with pytest.raises(FormatError) as caught:
        limbeck.load(tmp_path / "one")
    assert str(tmp_path / "one" / "synthetic") in str(caught.value)


def test_forging_itself_breaks_nothing(synthetic, tmp_path):
    synthetic.save(tmp_path / "one")
    forge(tmp_path / "one", {}, {})
    assert len(limbeck.load(tmp_path / "one")) == 6
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_not_written(synthetic, tmp_path, value):
    synthetic.values["audio"][3, 0, 2, 2] = value
    with pytest.raises(NumericsError, match="audio"):
        synthetic.save(tmp_path / "new" / "one")
    assert not (tmp_path / "new").exists()


def test_words_json_cannot_hold_are_told(synthetic, tmp_path):
    for wrong in ({"x": "\ud800"}, {"x": float("nan")}, {"x": object()}):
        synthetic.provenance = wrong
        with pytest.raises(ConfigError, match="JSON"):
            synthetic.save(tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_captions_follow_their_cells(synthetic):
    assert synthetic.decoded_captions is None
    synthetic.captions = [tuple((f"{i} {k}",) * k for k in range(4)) for i in range(6)]
    found = synthetic.decoded_captions
    assert len(found) == 24
    assert found[0] == ()
    assert found[6 + 5] == ("5 1",)
    assert found[3 * 6 + 2] == ("2 3",) * 3


@pytest.mark.parametrize("captions", [[("a",)] * 2, [(("a",), ())] * 2, [((3,),)] * 2, [["a"]] * 2, [(["a"],)] * 2])
def test_captions_that_belong_to_no_cell_are_refused(captions):
    with pytest.raises(ConfigError, match="captions of item 0"):
        SyntheticSet({"text": Text(shape=(4,))}, {"text": torch.zeros(2, 4)}, captions=captions)
