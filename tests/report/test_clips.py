"""Sound of several clips on a page: side by side, cell by cell."""

from __future__ import annotations

import base64
import io

import torch
from PIL import Image

from limbeck.modalities import Audio
from limbeck.report.views import sounds_each, views

KALDI = Audio.kaldi(frames=40, seconds=0.4)


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")


def items() -> torch.Tensor:
    """Left halves of the clips are dark, right ones bright, the third clip the brightest."""
    x = torch.zeros(1, 3, 128, 40)
    x[..., 20:] = torch.tensor([0.5, 0.7, 1.0]).view(1, 3, 1, 1)
    return x


def test_an_item_shows_its_clips_side_by_side_and_plays():
    (((view,),),) = [views(KALDI, [items()], 1, 1)]
    (cell,) = view.cells
    assert opened(cell.picture).size == (120, 128)
    assert cell.sound is not None
    assert cell.sound.startswith("data:audio/wav")
    assert 0 < sounds_each(KALDI, 10, 1) <= 1


def test_a_cell_shows_its_part_of_every_clip():
    (((view,),),) = [views(KALDI, [items()], 2, 0)]
    pictures = [opened(cell.picture) for cell in view.cells]
    assert [p.size for p in pictures] == [(60, 64)] * 4
    light = [[sum(p.getpixel((20 * k + 10, 32))) for k in range(3)] for p in pictures]  # row by row
    assert max(light[0] + light[2]) < min(light[1] + light[3])
    assert light[1][0] < light[1][2]
    assert light[0][0] == light[0][1] == light[0][2]
