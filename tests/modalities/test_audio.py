"""The audio modality: forms, sound and pictures."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import ConfigError, NumericsError, ShapeError
from limbeck.modalities import Audio, modality_from_dict

FIELD = Audio(shape=(1, 128, 56))


def tone(amplitude=0.5, frequency=800.0):
    return amplitude * torch.sin(2 * torch.pi * frequency * torch.arange(11_000) / 11_000)


def test_a_second_of_sound_is_an_item_and_comes_back():
    audio = FIELD.with_statistics((-40.0,), (20.0,))
    assert (audio.samples, audio.seconds) == (11_000, 1.0)
    physical = audio.spectrogram(tone().expand(3, -1))
    assert physical.shape == (3, 1, 128, 56)
    x = audio.normalise(audio.to_stored(physical))
    sound = audio.waveform(x)
    assert sound.shape == (3, 11_000)
    again = audio.spectrogram(sound)
    loud = physical > physical.max() - 40
    assert (physical - again)[loud].square().mean().sqrt() < 3


def test_the_wrong_length_says_the_right_one():
    with pytest.raises(ShapeError, match="11000 samples"):
        FIELD.spectrogram(torch.zeros(5000))
    with pytest.raises(ShapeError, match="too short"):
        FIELD.spectrogram(torch.zeros(3))


def test_loud_items_are_turned_down_and_quiet_ones_left_alone():
    physical = FIELD.spectrogram(torch.stack([tone(0.01), tone(0.5)]))
    physical[1] += 40
    sound = FIELD.waveform(physical)
    assert sound[0].abs().max() < 0.03
    assert 0.99 < sound[1].abs().max() <= 1


def test_sound_of_broken_values_is_an_error():
    with pytest.raises(NumericsError):
        FIELD.waveform(torch.full((1, 1, 128, 56), float("inf")))


def test_raw_decibel_keep_their_constants():
    raw = Audio(shape=(1, 128, 56), scale="decibel").with_statistics((-40.0,), (20.0,))
    assert (raw.mean, raw.std) == ((0.0,), (1.0,))
    stored = raw.to_stored(raw.spectrogram(tone())[None])
    assert torch.equal(raw.normalise(stored), stored.float())
    assert modality_from_dict(raw.to_dict()) == raw


def test_bad_settings_are_told():
    with pytest.raises(ConfigError, match="standard"):
        Audio(shape=(1, 8, 8), scale="standart")
    with pytest.raises(ConfigError, match="raw decibel"):
        Audio(shape=(1, 8, 8), scale="decibel", mean=(-3.0,))
    with pytest.raises(ShapeError):
        Audio(shape=(8, 8))


def test_picture_is_bright_where_the_sound_is_and_low_bands_are_at_the_bottom():
    low = FIELD.picture(FIELD.spectrogram(tone(frequency=200.0))[None])
    assert low.shape == (1, 3, 128, 56)
    assert low.dtype == torch.uint8
    light = low.float().mean(1)[0]
    assert light[-40:].max() > 200
    assert light[:40, 5:-5].max() < 60


def test_picture_survives_flat_and_broken_input():
    flat = FIELD.picture(torch.zeros(1, 1, 128, 56))
    assert (flat == flat[:, :, :1, :1]).all()
    broken = torch.zeros(1, 1, 128, 56)
    broken[0, 0, 0, 0] = float("nan")
    assert FIELD.picture(broken).shape == flat.shape
    FIELD.picture(torch.full((1, 1, 128, 56), float("nan")))


def test_picture_with_limits_is_comparable_between_items():
    quiet, loud = FIELD.spectrogram(tone(0.01))[None], FIELD.spectrogram(tone(1.0))[None]
    limits = (-40.0, 40.0)
    assert FIELD.picture(quiet, limits).float().mean() < FIELD.picture(loud, limits).float().mean()
