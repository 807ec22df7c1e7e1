"""Sounds on a page: several clips side by side and cell by cell, and what fits."""

from __future__ import annotations

import base64
import io

import av
import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.modalities import Audio
from limbeck.report.media import sound_bytes
from limbeck.report.views import SOUND_BYTES, sound_plan, sounds_each, views

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


SHORT = Audio(shape=(1, 16, 12), sample_rate=4000, n_fft=64, hop=32)


@pytest.mark.parametrize(
    ("items", "compact", "each"),
    [
        (10, False, (4, 4, 4)),
        (SOUND_BYTES // (12 * 2 * SHORT.samples + 12 * 44), False, (4, 4, 4)),
        (SOUND_BYTES // (12 * (SHORT.samples + 60)), True, (4, 4, 4)),
        (SOUND_BYTES // (8 * (SHORT.samples + 60)), True, (4, 2, 2)),
        (SOUND_BYTES // (5 * (SHORT.samples + 60)), True, (4, 1, 0)),
        (SOUND_BYTES // (4 * (SHORT.samples + 60)), True, (4, 0, 0)),
        (SOUND_BYTES // (SHORT.samples + 60), True, (1, 0, 0)),
        (SOUND_BYTES, True, (0, 0, 0)),
    ],
)
def test_the_dearest_sounds_are_kept_where_not_all_fit(items, compact, each):
    """All of what was distilled before any of the others; the limit holds for what is written."""
    plan = sound_plan(SHORT, items, 2, 3)
    assert (plan.compact, plan.each) == (compact, each)
    wave = np.zeros(SHORT.samples, np.float32)
    assert items * sum(each) * len(sound_bytes(wave, 4000, compact=compact)) <= SOUND_BYTES


def test_eight_bits_sound_as_sixteen_do():
    wave = 0.6 * np.sin(np.arange(4000) / 7).astype(np.float32)
    short, whole = (sound_bytes(wave, 11000, compact=compact) for compact in (True, False))
    assert len(short) < 0.52 * len(whole)
    assert short == sound_bytes(wave, 11000, compact=True)
    with av.open(io.BytesIO(short)) as file:
        assert file.streams.audio[0].rate == 11000
        found = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]) / 32768
    assert len(found) == len(wave)
    assert np.abs(found - wave).max() < 0.03
