"""The log-mel spectrogram and its inverse: closed forms, the literal twin, round trips."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
import torch

from limbeck.errors import NumericsError, ShapeError
from limbeck.modalities.melspec import log_mel, mel_filters, waveform_from_log_mel

FIELD = {"sample_rate": 11_000, "n_fft": 400, "hop": 200, "n_mels": 128}
SOUND = {"sample_rate": 11_000, "n_fft": 400, "hop": 200}


def literal():
    path = Path(__file__).parents[1] / "reference" / "logmel.py"
    spec = importlib.util.spec_from_file_location("reference_logmel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.log_mel


def second(frequency=1000.0, rate=11_000):
    return torch.sin(2 * torch.pi * frequency * torch.arange(rate) / rate)


def chirp():
    t = torch.arange(11_000) / 11_000
    return 0.5 * torch.sin(2 * torch.pi * (200 * t + 2000 * t.square())) * (0.5 + 0.5 * torch.sin(2 * torch.pi * 4 * t))


def distance(a, b, span=60.0):
    """Root mean square difference in decibel over the loudest ``span`` decibel."""
    floor = a.max() - span
    return float((a.clamp_min(floor) - b.clamp_min(floor)).square().mean().sqrt())


def test_one_second_at_the_fields_settings_is_128_by_56():
    assert log_mel(second(), **FIELD).shape == (128, 56)
    assert log_mel(second().expand(2, 3, -1), **FIELD).shape == (2, 3, 128, 56)


def test_a_sine_lands_in_the_band_whose_centre_is_nearest():
    top = 2595 * math.log10(1 + 5500 / 700)
    for frequency in (440, 1000, 3000):
        band = (
            2595 * math.log10(1 + frequency / 700) / top * 129 - 1
        )  # centres sit at (band + 1) / 129 of the mel range
        found = log_mel(second(frequency), **FIELD)[:, 5:-5].mean(1).argmax()
        assert abs(int(found) - band) <= 1, frequency


def test_a_sine_has_the_level_the_window_gives_it():
    # The periodic Hann window has mean 1/2: a sine of amplitude a on a bin's centre has magnitude a * n_fft / 4 there.
    waveform = 0.25 * second(1100)
    bin_power = (0.25 * 400 / 4) ** 2
    side = (0.25 * 400 / 8) ** 2  # both neighbours
    filters = mel_filters(11_000, 400, 128)
    expected = 10 * torch.log10(
        (filters[:, 40] * bin_power + (filters[:, 39] + filters[:, 41]) * side).clamp_min(1e-10)
    )
    heard = log_mel(waveform, **FIELD)[:, 20]
    loud = expected > 0
    assert loud.any()
    assert torch.allclose(heard[loud], expected[loud], atol=1e-2)


def test_the_empty_band_and_silence_read_minus_100():
    assert (mel_filters(11_000, 400, 128).sum(1) == 0).nonzero().flatten().tolist() == [0]
    assert (log_mel(second(), **FIELD)[0] == -100).all()
    assert (log_mel(torch.zeros(11_000), **FIELD) == -100).all()


@pytest.mark.parametrize(("rate", "empty"), [(11_000, 1), (11_430, 1), (16_000, 4), (44_100, 16)])
def test_empty_bands_as_counted_in_the_spec(rate, empty):
    assert int((mel_filters(rate, 400, 128).sum(1) == 0).sum()) == empty


def test_filters_are_triangles_that_sum_to_one_between_the_outer_centres():
    filters = mel_filters(16_000, 1024, 20)
    assert filters.max() <= 1
    assert torch.allclose(filters.sum(0)[20:400], torch.ones(380), atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "n_fft", "hop", "mels", "rate"), [(1500, 400, 200, 128, 11_000), (700, 64, 40, 12, 8_000)]
)
def test_equals_the_literal_twin(samples, n_fft, hop, mels, rate):
    waveform = torch.randn(samples, generator=torch.Generator().manual_seed(1))
    settings = {"sample_rate": rate, "n_fft": n_fft, "hop": hop, "n_mels": mels}
    expected = torch.from_numpy(literal()(waveform.numpy(), **settings))
    assert torch.allclose(log_mel(waveform, **settings).double(), expected, atol=1e-3)


def test_too_short_says_how_long_it_must_be():
    assert log_mel(torch.ones(201), **FIELD).shape == (128, 2)
    with pytest.raises(ShapeError, match="201"):
        log_mel(torch.ones(200), **FIELD)
    with pytest.raises(ShapeError):
        log_mel(torch.ones(0), **FIELD)


@pytest.mark.parametrize(
    ("waveform", "bound"),
    [
        (0.5 * second(), 3.0),
        (chirp(), 3.0),
        (0.1 * torch.randn(11_000, generator=torch.Generator().manual_seed(0)), 1.0),
    ],
    ids=["sine", "chirp", "noise"],
)
def test_round_trip_keeps_the_spectrogram(waveform, bound):
    db = log_mel(waveform, **FIELD)
    sound = waveform_from_log_mel(db, **SOUND)
    assert sound.shape == (11_000,)
    assert distance(db, log_mel(sound, **FIELD)) < bound
    assert 0.5 < float(sound.std() / waveform.std()) < 2  # the level survives too


def test_an_item_sounds_the_same_alone_and_in_a_batch_and_again():
    db = log_mel(torch.stack([chirp(), 0.1 * second(300)]), **FIELD)
    both = waveform_from_log_mel(db, **SOUND)
    assert torch.equal(both, waveform_from_log_mel(db, **SOUND))
    assert torch.allclose(both[1], waveform_from_log_mel(db[1], **SOUND), atol=1e-4)


def test_silence_comes_back_silent_and_absurd_levels_stay_finite():
    silence = torch.full((128, 56), -100.0)
    assert waveform_from_log_mel(silence, **SOUND).abs().max() < 1e-6
    for level in (-4000.0, 4000.0):
        assert torch.isfinite(waveform_from_log_mel(torch.randn(128, 56) + level, **SOUND)).all()


def test_broken_spectrograms_are_told():
    with pytest.raises(NumericsError):
        waveform_from_log_mel(torch.full((128, 56), float("nan")), **SOUND)
    with pytest.raises(ShapeError):
        waveform_from_log_mel(torch.zeros(128, 2), **SOUND)
