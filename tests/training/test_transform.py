"""The train transform on whole batches: what Pillow makes of each picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from limbeck.errors import ShapeError
from limbeck.modalities import Audio, Depth, Image
from limbeck.rng import stream
from limbeck.training.transform import OPERATIONS, UNIFORMS, train_transform, transformed
from tests.reference import transform as reference


def some(n=24, height=40, width=40, channels=3):
    """Smooth pictures with some noise, in whole levels."""
    g = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, 5, 5, generator=g)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth * 200 + 15 + 10 * torch.rand(n, channels, height, width, generator=g)).round()


def uniforms(n, **fixed):
    """Numbers that leave a picture as it is, but for what is ``fixed``."""
    found = torch.zeros(n, UNIFORMS, dtype=torch.float64)
    found[:, :10], found[:, 10:20] = 1 - 1e-9, 0.5  # the whole picture
    found[:, 22], found[:, 24], found[:, 27] = 0.9, 0.9, 0.9  # neither flipped nor changed
    for at, value in fixed.items():
        found[:, int(at[1:])] = value
    return found


def literal(levels, numbers):
    found = []
    for item, row in zip(levels, numbers.tolist(), strict=True):
        array = item.byte().permute(1, 2, 0).numpy()
        picture = Picture.fromarray(array if array.shape[2] == 3 else array[:, :, 0])
        found.append(reference.as_array(reference.transform(picture, row)))
    return torch.from_numpy(np.stack(found))


def test_it_can_leave_a_picture_as_it_is():
    x = some(4)
    torch.testing.assert_close(train_transform(x, uniforms(4)), x, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("sign", [0.0, 0.9])
def test_each_operation_is_pillows(name, sign):
    x = some(6)
    numbers = uniforms(6, _23=(OPERATIONS.index(name) + 0.5) / len(OPERATIONS), _24=0.0, _25=sign)
    found, expected = train_transform(x, numbers), literal(x, numbers)
    assert float((found - expected).abs().max()) <= 1.01  # Pillow cuts or rounds to whole levels
    same = {"identity", "brightness", "sharpness"}
    assert (float((found - x).abs().max()) < 1e-3) == (name in same)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (48, 20), (20, 48)])
def test_parts_and_flips_are_pillows(height, width):
    x = some(height=height, width=width)
    g = torch.Generator().manual_seed(1)
    numbers = uniforms(len(x))
    numbers[:, :23] = torch.rand(len(x), 23, generator=g, dtype=torch.float64)
    found, expected = train_transform(x, numbers), literal(x, numbers)
    assert float((found - expected).abs().max()) <= 2  # Pillow rounds between rows and columns
    assert float((found - expected).abs().mean()) < 0.4


@pytest.mark.parametrize("channels", [1, 3])
def test_all_of_it_is_pillows(channels):
    """But for pixels whose level is rounded the other way before levels are made equal or stretched."""
    x = some(64, channels=channels)
    numbers = torch.rand(64, UNIFORMS, generator=stream(2, "test"), dtype=torch.float64)
    error = (train_transform(x, numbers) - literal(x, numbers)).abs()
    assert float(error.mean()) < 0.6
    assert float((error > 3).float().mean()) < 0.01


def test_operations_are_drawn_as_often_as_they_should_be():
    """Two of ten, each with a probability of one half: five of the ten bring grey into a white picture."""
    x = torch.full((4000, 1, 8, 8), 255.0)
    moved = train_transform(x, torch.rand(4000, UNIFORMS, generator=stream(0, "t"), dtype=torch.float64))
    share = float((moved.amin((1, 2, 3)) < 254).float().mean())
    assert abs(share - (1 - (1 - 0.5 * 5 / 10) ** 2)) < 0.03


@pytest.mark.parametrize(
    "modality", [Image(shape=(3, 16, 16)), Depth(shape=(1, 16, 16)), Audio(shape=(1, 16, 12))], ids=lambda m: m.kind
)
def test_any_modality_keeps_its_range_and_shape(modality):
    stored = {
        "image": lambda: torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8),
        "depth": lambda: torch.randint(800, 4000, (5, 1, 16, 16)).float(),
        "audio": lambda: (torch.rand(5, 1, 16, 12) * 60 - 70).half(),
    }[modality.kind]()
    x = modality.normalise(stored)
    found = transformed(x, modality, stream(0, "test"))
    assert (found.shape, found.dtype) == (x.shape, torch.float32)
    assert torch.equal(found, transformed(x, modality, stream(0, "test")))
    assert not torch.equal(found, transformed(x, modality, stream(1, "test")))
    own = modality.physical(stored)
    low, high = (0.0, 1.0) if modality.kind == "image" else (float(own.min()), float(own.max()))
    physical, spread = modality.denormalise(found), high - low
    assert low - 0.01 * spread <= float(physical.min()) <= float(physical.max()) <= high + 0.01 * spread


def test_numbers_that_do_not_fit_are_told():
    with pytest.raises(ShapeError, match=r"must be \(N, 29\)"):
        train_transform(some(2), uniforms(3))
