"""Numbers in half precision and in bytes: what is kept, what it stands for, and what cannot be kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ConfigError, NumericsError, ShapeError
from limbeck.modalities import Audio, Depth, Image, Text
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.storage import Stored, bytes_as, store_values
from tests.reference.storage_literal import keep, stand_for

MOST = 3.4028234663852886e38


def numbers(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=stream(seed, "storage"))


def made(factor=1.0):
    return SyntheticSet(
        modalities={"image": Image(shape=(3, 4, 4)), "text": Text(shape=(5,))},
        values={"image": factor * numbers(6, 3, 4, 4), "text": numbers(6, 5, seed=1)},
    )


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (1000.0, 1e-3), (-3.0, 1e30), (1e-6, 1e-42), (0.5, 0.0)])
def test_bytes_are_those_of_the_literal_twin(mean, scale):
    x = mean + numbers(2, 3, 4, 5, scale=scale)
    found = store_values(x, "uint8", "image")
    for item in range(2):
        for channel in range(3):
            codes, step, low = keep(x[item, channel].flatten().tolist())
            assert found.codes[item, channel].flatten().tolist() == codes
            assert (float(found.scale[item, channel]), float(found.offset[item, channel])) == (step, low)
            assert found.values()[item, channel].flatten().tolist() == stand_for(codes, step, low)


def test_of_vectors_each_item_has_a_scale():
    x = numbers(4, 7)
    found = store_values(x, "uint8", "text")
    assert found.scale.shape == (4,)
    codes, step, low = keep(x[2].tolist())
    assert found.values()[2].tolist() == stand_for(codes, step, low)


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    st.integers(1, 3),
)
@settings(deadline=None, max_examples=200)
def test_any_numbers_come_back_within_half_a_step_and_stay(values, channels):
    x = torch.tensor(values, dtype=torch.float32).repeat(2, channels, 1, 1)
    found = store_values(x, "uint8", "image")
    again = found.values()
    assert again.isfinite().all()
    exact, kept = x.double(), again.double()
    step = (exact.amax((2, 3)) - exact.amin((2, 3)))[..., None, None] / 255
    rounding = 2.0**-22 * exact.abs().amax() + 2e-45
    assert ((exact - kept).abs() <= step * (0.5 + 1e-4) + 255 * 1e-45 + rounding).all()


@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.sampled_from(["fp16", "uint8"]))
@settings(deadline=None, max_examples=50)
def test_keeping_again_what_is_kept_changes_nothing(seed, scale, kind):
    if kind == "fp16" and scale > 1e3:
        scale /= 1e3
    one = SyntheticSet({"image": Image(shape=(3, 4, 4))}, {"image": numbers(3, 3, 4, 4, seed=seed, scale=scale)})
    kept = one.stored_as(kind)
    twice = kept.stored_as(kind)
    assert twice.stored["image"] is kept.stored["image"]
    assert torch.equal(twice.values["image"], kept.values["image"])
    assert torch.equal(kept.stored["image"].values(), kept.values["image"])


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, 1e-45, -MOST, MOST])
def test_a_channel_of_one_value_is_kept_exactly(value):
    x = torch.full((2, 1, 3, 3), value)
    found = store_values(x, "uint8", "depth")
    assert torch.equal(found.values(), x)
    assert found.scale.tolist() == [[0.0], [0.0]]


def test_the_widest_range_there_is_stays_finite():
    x = torch.tensor([-MOST, 0.0, MOST]).view(1, 1, 1, 3)
    again = store_values(x, "uint8", "image").values().flatten()
    assert again.isfinite().all()
    assert float(again[2]) == pytest.approx(MOST, rel=1e-6)


def test_what_half_precision_cannot_hold_is_refused_by_name():
    one = made(factor=1e5)
    with pytest.raises(NumericsError, match=r"image reaches .* half precision ends at 65504") as caught:
        one.stored_as("fp16")
    assert "uint8" in caught.value.hint
    assert one.stored_as("uint8").storage == {"image": "uint8", "text": "uint8"}


@pytest.mark.parametrize("kind", ["fp16", "uint8"])
def test_what_is_not_finite_is_refused_by_name(kind):
    one = made()
    one.values["text"][2, 1] = float("nan")
    with pytest.raises(NumericsError, match="text has values that are not finite"):
        one.stored_as(kind)


def test_bytes_count_what_is_kept():
    plain, half, bytes_ = (made().stored_as(kind) for kind in ("fp32", "fp16", "uint8"))
    assert (plain.bytes, half.bytes) == (4 * 6 * 53, 2 * 6 * 53)
    assert bytes_.bytes == 6 * (53 + 8 * 3 + 8)
    for one, kind in ((plain, "fp32"), (half, "fp16"), (bytes_, "uint8")):
        assert one.storage == {"image": kind, "text": kind}
        assert one.bytes == bytes_as(kind, 6, one.modalities) == one.counted_bytes
    mixed = {"depth": Depth(shape=(1, 2, 2)), "audio": Audio(shape=(1, 4, 4))}
    assert bytes_as("uint8", 3, mixed) == 3 * (4 + 16 + 16)


def test_a_set_of_some_of_the_modalities_keeps_their_storage():
    import dataclasses

    one = made().stored_as("uint8")
    only = dataclasses.replace(one, modalities={"text": one.modalities["text"]}, values={"text": one.values["text"]})
    assert only.storage == {"text": "uint8"}
    with pytest.raises(ShapeError, match="does not fit"):
        dataclasses.replace(only, values={"text": one.values["text"][:3]})


def test_another_kind_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="stored as 'fp8'") as caught:
        made().stored_as("fp8")
    assert "fp" in caught.value.hint


def test_the_first_set_is_left_as_it_is():
    one = made()
    before = one.values["image"].clone()
    one.values["image"].requires_grad_()
    kept = one.stored_as("uint8")
    assert torch.equal(one.values["image"], before)
    assert one.storage == {"image": "fp32", "text": "fp32"}
    assert not kept.values["image"].requires_grad
    assert not torch.equal(kept.values["image"], before)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ((torch.zeros(2, 3), None, None), ShapeError),
        ((torch.zeros(2, 3, dtype=torch.uint8), None, torch.zeros(2)), ShapeError),
        ((torch.zeros(2, 3, dtype=torch.uint8), torch.zeros(2), torch.zeros(2, 1)), ShapeError),
        ((torch.zeros(2, 3, dtype=torch.uint8), torch.zeros(2).double(), torch.zeros(2)), ShapeError),
        ((torch.zeros(2, 3, dtype=torch.uint8), torch.tensor([1.0, -1.0]), torch.zeros(2)), NumericsError),
        ((torch.zeros(2, 3, dtype=torch.uint8), torch.ones(2), torch.tensor([0.0, float("inf")])), NumericsError),
        ((torch.zeros(2, 3).half(), torch.ones(2), torch.ones(2)), ShapeError),
    ],
)
def test_parts_that_mean_nothing_are_refused(parts, kind):
    with pytest.raises(kind):
        Stored(*parts)
