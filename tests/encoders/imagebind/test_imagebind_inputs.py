from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from torch import Tensor

from limbeck.encoders.imagebind.inputs import depth_input, picture_input, sound_input, to_size, token_parts
from limbeck.rng import stream


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=stream(seed, "items"), dtype=torch.float64)


def test_pictures_get_clips_constants() -> None:
    x = noise(2, 3, 4, 4)
    found = picture_input(x, (4, 4))
    torch.testing.assert_close(found[:, 1], (x[:, 1] - 0.4578275) / 0.26130258)
    torch.testing.assert_close(found[:, 2], (x[:, 2] - 0.40821073) / 0.27577711)
    grey = picture_input(x[:, :1], (4, 4))
    torch.testing.assert_close(grey[:, 0], (x[:, 0] - 0.48145466) / 0.26862954)
    assert grey.shape == (2, 3, 4, 4)


@pytest.mark.parametrize(("size", "whole"), [((40, 60), (24, 36)), ((61, 40), (36, 24)), ((12, 20), (24, 40))])
def test_resizing_is_pillows_bicubic_and_a_centre_crop(size, whole) -> None:
    picture = (noise(*size, 3, seed=1) * 255).round()
    rows, columns = whole
    planes = [
        np.asarray(
            Pictures.fromarray(picture[:, :, c].numpy().astype(np.float32), mode=None).resize(
                (columns, rows), Pictures.Resampling.BICUBIC
            )
        )
        for c in range(3)
    ]
    top, left = round((rows - 24) / 2), round((columns - 24) / 2)
    wanted = torch.tensor(np.stack(planes))[None, :, top : top + 24, left : left + 24]
    found = to_size(picture.permute(2, 0, 1)[None].float(), (24, 24))
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0)  # of 255


def test_items_of_the_size_are_not_touched_and_others_cover_it() -> None:
    x = noise(1, 1, 28, 30)
    assert to_size(x, (28, 30)) is x
    for size in ((32, 32), (8, 40), (28, 24), (27, 31)):
        assert to_size(x, size).shape == (1, 1, *size)
    torch.testing.assert_close(to_size(x, (28, 24)), x[:, :, :, 3:27])


def test_depth_becomes_disparity() -> None:
    metres = torch.tensor([1.0, 2.0, 0.4, 60.0, 50.0, 0.0, 0.01], dtype=torch.float64).view(1, 1, 1, 7)
    found = depth_input(metres, (1, 7)).flatten() * 0.0295 + 0.0418
    reach = 518.857901 * 0.075
    wanted = [reach / 75, reach / 2 / 75, 1, reach / 50 / 75, reach / 50 / 75, 1, 1]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_depth_has_slopes_where_it_is_not_clipped() -> None:
    x = torch.tensor([0.3, 0.6, 3.0, 55.0], dtype=torch.float64, requires_grad=True)
    depth_input(x.view(1, 1, 1, 4), (1, 4)).sum().backward()
    reach = 518.857901 * 0.075 / 75 / 0.0295
    wanted = torch.tensor([0, -reach / 0.36, -reach / 9, 0], dtype=torch.float64)
    torch.testing.assert_close(x.grad, wanted)


def test_sound_is_standardised_clip_by_clip() -> None:
    x = noise(2, 3, 4, 5)
    found = sound_input(x, (4, 5), decibel=False)
    assert found.shape == (2, 3, 1, 4, 5)
    torch.testing.assert_close(found[:, :, 0], (x + 4.268) / 9.138)
    torch.testing.assert_close(sound_input(10 * x / math.log(10), (4, 5), decibel=True), found)
    longer = sound_input(x, (6, 8), decibel=False)
    torch.testing.assert_close(longer[..., :4, :5], found)
    assert not longer[..., 4:, :].any()
    assert not longer[..., 5:].any()


def test_slopes_of_every_conversion() -> None:
    for shape, convert in (
        ((1, 3, 5, 7), lambda x: picture_input(x, (6, 6))),
        ((1, 1, 5, 7), lambda x: picture_input(x, (4, 4))),
        ((1, 1, 5, 7), lambda x: depth_input(x + 1, (4, 6))),
        ((1, 2, 3, 4), lambda x: sound_input(x, (4, 4), decibel=True)),
    ):
        assert torch.autograd.gradcheck(convert, noise(*shape).requires_grad_())


def test_token_items_fall_apart() -> None:
    x = torch.arange(2 * 7, dtype=torch.float32).view(2, 7)
    x[:, -1] = torch.tensor([1.6, -4])
    tokens, place = token_parts(x.requires_grad_(), 3)
    assert tokens.shape == (2, 3, 2)
    assert torch.equal(tokens[1], x[1, :6].view(3, 2))
    assert place.tolist() == [2, 0]
    tokens.sum().backward()
    assert x.grad is not None
    assert x.grad[:, -1].tolist() == [0, 0]
