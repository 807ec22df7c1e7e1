"""A set in fewer bytes on disk: it comes back bit for bit, is of a version of its own, and is refused where it lies."""

from __future__ import annotations

import json

import pytest
import torch

import limbeck
from limbeck.errors import ConfigError, FormatError
from limbeck.files import read_json
from limbeck.modalities import Image, Text
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet, artifact
from limbeck.synthetic.artifact import MANIFEST, TENSORS
from limbeck.synthetic.similarity import Factors, Similarity
from tests.synthetic.test_set import forge


def numbers(name, *shape):
    return torch.randn(*shape, generator=stream(0, name))


@pytest.fixture
def synthetic():
    return SyntheticSet(
        modalities={"image": Image(shape=(3, 4, 4)), "text": Text(shape=(5,))},
        values={"image": numbers("image", 6, 3, 4, 4), "text": numbers("text", 6, 5)},
        similarity=Similarity(Factors(numbers("w", 6), numbers("l", 6, 2), numbers("r", 6, 2)), 3.0),
    )


@pytest.mark.parametrize("kind", ["fp16", "uint8"])
def test_memory_is_what_a_reload_gives(synthetic, tmp_path, kind):
    kept = synthetic.stored_as(kind)
    again = limbeck.load(kept.save(tmp_path / "one"))
    for name, value in kept.values.items():
        assert torch.equal(again.values[name], value)
        assert not torch.equal(value, synthetic.values[name])
    assert torch.equal(again.similarity.full(), synthetic.similarity.full())  # that stays whole
    assert (again.storage, again.bytes) == (kept.storage, kept.bytes)
    again.save(tmp_path / "two")
    for file in (TENSORS, MANIFEST):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    size = (tmp_path / "one" / TENSORS).stat().st_size
    header = 8 + int.from_bytes((tmp_path / "one" / TENSORS).read_bytes()[:8], "little")
    assert size - header == kept.bytes


def test_anyone_can_read_it_without_us(synthetic, tmp_path):
    from safetensors.torch import load_file

    kept = synthetic.stored_as("uint8")
    found = load_file(kept.save(tmp_path / "one") / TENSORS)
    image = found["value.image"] * found["scale.image"][..., None, None] + found["offset.image"][..., None, None]
    torch.testing.assert_close(image, kept.values["image"])
    assert found["value.image"].dtype == torch.uint8


@pytest.mark.parametrize("similar", [True, False])
def test_only_such_a_set_is_of_the_new_version(synthetic, tmp_path, monkeypatch, similar):
    if not similar:
        synthetic.similarity = None
    synthetic.stored_as("fp32").save(tmp_path / "whole")
    synthetic.stored_as("fp16").save(tmp_path / "half")
    whole, half = (read_json(tmp_path / name / MANIFEST) for name in ("whole", "half"))
    assert (whole["version"], half["version"]) == (2 if similar else 1, 3)
    assert "storage" not in whole
    assert half["storage"] == {"image": "fp16", "text": "fp16"}
    monkeypatch.setattr(artifact, "VERSION", 2)  # a reader from before
    with pytest.raises(FormatError, match="version 3 is newer than 2"):
        limbeck.load(tmp_path / "half")


def test_values_that_were_changed_since_are_not_written(synthetic, tmp_path):
    kept = synthetic.stored_as("uint8")
    kept.values["image"] += 1
    with pytest.raises(ConfigError, match="image has other values") as caught:
        kept.save(tmp_path / "one")
    assert "stored_as" in caught.value.hint
    assert not (tmp_path / "one").exists()
    again = limbeck.load(kept.stored_as("uint8").save(tmp_path / "one"))
    assert torch.allclose(again.values["image"], kept.values["image"], atol=0.02)


def test_to_float32_again_keeps_the_rounded_values(synthetic, tmp_path):
    kept = synthetic.stored_as("uint8")
    whole = kept.stored_as("fp32")
    assert torch.equal(whole.values["image"], kept.values["image"])
    assert read_json(whole.save(tmp_path / "one") / MANIFEST)["version"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"storage": KeyError},
        {"version": 1},
        {"version": 2},
        *(
            {"storage": v}
            for v in (None, [], "uint8", {"image": "int4", "text": "uint8"}, {"image": None}, {"image": []})
        ),
        {"storage": {"image": "fp32", "text": "uint8"}},
        {"storage": {"image": "fp16", "text": "uint8"}},
        {"storage": {"image": "uint8", "text": "uint8", "sound": "uint8"}},
        {"storage": {"image": "uint8"}},
        {"storage": {"image": "uint8", "text": "uint8", "ghost": "fp32"}},
        {"similarity": KeyError},
        {"similarity": 3},
    ],
)
def test_a_hostile_manifest_is_refused(synthetic, tmp_path, change):
    synthetic.stored_as("uint8").save(tmp_path / "one")
    forge(tmp_path / "one", change)
    with pytest.raises(FormatError) as caught:
        limbeck.load(tmp_path / "one")
    assert str(tmp_path / "one" / "synthetic") in str(caught.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"value.image": torch.zeros(6, 3, 4, 4)},
        {"value.image": torch.zeros(6, 3, 4, 4, dtype=torch.int8)},
        {"value.image": torch.zeros(6, 3, 4, 5, dtype=torch.uint8)},
        {"value.image": torch.tensor(3, dtype=torch.uint8)},
        {"value.text": torch.zeros(6, 5).half()},
        {"scale.image": None},
        {"offset.text": None},
        {"scale.image": torch.ones(6, 1)},
        {"scale.image": torch.ones(3)},
        {"scale.image": torch.ones(6, 3, dtype=torch.float64)},
        {"scale.image": torch.full((6, 3), float("nan"))},
        {"scale.image": torch.full((6, 3), -1.0)},
        {"offset.image": torch.full((6, 3), float("inf"))},
        {"offset.text": torch.zeros(6, 1)},
        {"scale.sound": torch.ones(6)},
        {"more": torch.ones(6)},
    ],
)
def test_hostile_tensors_are_refused(synthetic, tmp_path, tensors):
    synthetic.stored_as("uint8").save(tmp_path / "one")
    forge(tmp_path / "one", tensors=tensors)
    with pytest.raises(FormatError) as caught:
        limbeck.load(tmp_path / "one")
    assert str(tmp_path / "one" / "synthetic") in str(caught.value)


def test_half_precision_that_is_infinite_is_refused(synthetic, tmp_path):
    synthetic.stored_as("fp16").save(tmp_path / "one")
    forge(tmp_path / "one", tensors={"value.image": torch.full((6, 3, 4, 4), float("inf")).half()})
    with pytest.raises(FormatError, match="not finite"):
        limbeck.load(tmp_path / "one")


def test_a_scale_beyond_all_numbers_gives_no_infinity(synthetic, tmp_path):
    synthetic.stored_as("uint8").save(tmp_path / "one")
    forge(tmp_path / "one", tensors={"scale.image": torch.full((6, 3), 3e38)})
    assert limbeck.load(tmp_path / "one").values["image"].isfinite().all()


def test_the_manifest_says_it_in_plain_words(synthetic, tmp_path):
    manifest = json.loads((synthetic.stored_as("uint8").save(tmp_path / "one") / MANIFEST).read_text())
    assert manifest["storage"] == {"image": "uint8", "text": "uint8"}
