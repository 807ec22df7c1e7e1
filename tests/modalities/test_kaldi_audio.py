"""The audio modality of ImageBind: clips as channels."""

from __future__ import annotations

import pytest
import torch

from limbeck.augment import DSA, FAMILIES, Draw
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Audio, modality_from_dict
from limbeck.synthetic.factor import decode, encode

KALDI = Audio.kaldi()


def sound(seconds=3.0, frequency=500.0):
    t = torch.arange(round(16_000 * seconds)) / 16_000
    return 0.3 * torch.sin(2 * torch.pi * (frequency * t + 300 * t.square()))


def test_an_item_is_three_clips_and_comes_back():
    assert (KALDI.shape, KALDI.mean, KALDI.std) == ((3, 128, 204), (-4.268,), (9.138,))
    physical = KALDI.spectrogram(sound())
    assert physical.shape == (3, 128, 204)
    assert not physical[..., 198:].any()
    x = KALDI.normalise(KALDI.to_stored(physical[None]))
    assert torch.allclose(x[0], (physical + 4.268) / 9.138, atol=2e-3)  # half steps of 1 / 128
    heard = KALDI.waveform(x)
    assert heard.shape == (1, KALDI.samples) == (1, 3 * (197 * 160 + 400))
    assert KALDI.seconds == pytest.approx(6, abs=0.1)
    each = KALDI.samples // 3
    again = torch.stack([KALDI.spectrogram(heard[0, k * each : (k + 1) * each])[0] for k in range(3)])
    for k in range(3):
        pair = torch.stack([physical[k, :, 4:190].flatten(), again[k, :, 4:190].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.95


def test_clips_begin_where_they_should_and_are_the_same_of_short_sound():
    whole = sound(4.0)
    clips = KALDI.spectrogram(whole)
    for clip, start in zip(clips, (0, 16_000, 32_000), strict=True):
        one = Audio.kaldi(clips=1).spectrogram(whole[start : start + 32_000])[0]
        assert torch.equal(clip, one)
    short = KALDI.spectrogram(whole[:16_000])
    assert torch.equal(short[0], short[1])
    assert short[..., :98].any(1).all()
    assert not short[..., 98:].any()
    with pytest.raises(ShapeError, match="shorter than a window"):
        KALDI.spectrogram(whole[:300])


def test_it_travels_and_older_sets_stay_what_they_are():
    assert modality_from_dict(KALDI.to_dict()) == KALDI
    assert "clip_samples" not in Audio(shape=(1, 8, 8)).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "kaldi", "shape": (3, 8, 8)},
        {"scale": "kaldi", "shape": (3, 8, 8), "clip_samples": 399},
        {"scale": "kaldi", "shape": (3, 8, 8), "clip_samples": True},
        {"scale": "kaldi", "shape": (3, 8, 8), "clip_samples": 2.5},
        {"scale": "standard", "shape": (1, 8, 8), "clip_samples": 32_000},
    ],
)
def test_clips_belong_to_the_scale(change):
    with pytest.raises(ConfigError, match="clip_samples"):
        Audio(**change)


def test_several_channels_are_clips_of_kaldi_only():
    with pytest.raises(ShapeError, match=r"\(1, bands, frames\)"):
        Audio(shape=(3, 8, 8))
    with pytest.raises(ShapeError, match=r"\(clips, bands, frames\)"):
        Audio(shape=(8, 8), scale="kaldi", clip_samples=400)


def test_clips_lie_side_by_side_in_the_picture():
    physical = KALDI.spectrogram(sound(10.0))[None]
    x = KALDI.normalise(KALDI.to_stored(physical))
    picture = KALDI.picture(x, (-60.0, 30.0))
    assert picture.shape == (1, 3, 128, 3 * 204)
    for k in range(3):
        alone = Audio.kaldi(clips=1).picture(x[:, k : k + 1], (-60.0, 30.0))
        assert torch.equal(picture[..., k * 204 : (k + 1) * 204], alone)


def test_augmentation_and_the_factor_take_clips_as_channels():
    x = torch.randn(4, 3, 128, 204, generator=torch.Generator().manual_seed(0))
    for family in FAMILIES:
        uniforms = torch.rand(1, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        assert DSA()(x, Draw(family, uniforms)).shape == x.shape
    packed = encode(x[None].expand(4, -1, -1, -1, -1), 2)
    assert packed.shape == x.shape
    assert decode(packed, 2).shape == (4, 4, 3, 128, 204)
