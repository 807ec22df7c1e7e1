"""Kaldi's filter bank and its inverse: the literal twin, the library, closed forms, round trips."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.errors import NumericsError, ShapeError
from limbeck.modalities.fbank import FLOOR, clip_starts, fbank, fitted, kaldi_filters, waveform_from_fbank

HEARD = {"sample_rate": 16_000, "width": 400, "hop": 160}


def literal():
    path = Path(__file__).parents[1] / "reference" / "kaldi_literal.py"
    spec = importlib.util.spec_from_file_location("reference_kaldi", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fbank


def noise(samples=32_000, level=0.1, seed=0):
    return level * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def sine(frequency=1000.0, samples=32_000):
    return 0.5 * torch.sin(2 * torch.pi * frequency * torch.arange(samples) / 16_000)


def chirp():
    t = torch.arange(32_000) / 16_000
    return 0.5 * torch.sin(2 * torch.pi * (200 * t + 1500 * t.square())) * (0.5 + 0.5 * torch.sin(8 * torch.pi * t))


@pytest.mark.parametrize(
    ("wave", "rate", "width", "hop", "mels"),
    [
        (noise(900), 16_000, 400, 160, 128),
        (0.3 + noise(700, 0.01), 16_000, 400, 160, 40),
        (sine(samples=560), 16_000, 400, 160, 128),
        (noise(150), 8_000, 64, 20, 12),
    ],
)
def test_equals_the_literal_twin(wave, rate, width, hop, mels):
    settings = {"sample_rate": rate, "width": width, "hop": hop, "n_mels": mels}
    expected = torch.from_numpy(literal()(wave.numpy(), **settings))
    found = fbank(wave, **settings).double()
    assert found.shape == expected.shape
    # float32: values that are all but silence keep fewer digits
    assert torch.allclose(found[expected > -12], expected[expected > -12], atol=5e-3)
    assert torch.allclose(found, expected, atol=5e-2)


def test_equals_kaldi_itself():
    kaldi = pytest.importorskip("kaldi_native_fbank")
    options = kaldi.FbankOptions()
    options.frame_opts.dither, options.frame_opts.window_type = 0, "hanning"
    options.mel_opts.num_bins, options.use_energy, options.htk_compat = 120, False, True  # it refuses the empty band
    wave = chirp() - chirp().mean()
    bank = kaldi.OnlineFbank(options)
    bank.accept_waveform(16_000, wave.tolist())
    bank.input_finished()
    theirs = np.stack([bank.get_frame(k) for k in range(bank.num_frames_ready)]).T
    assert np.abs(theirs - fbank(wave, n_mels=120, **HEARD).numpy()).max() < 0.03


def test_two_seconds_have_198_frames_and_are_filled_up_with_zeros():
    bank = fbank(noise().expand(2, 3, -1), n_mels=128, **HEARD)
    assert bank.shape == (2, 3, 128, 198)
    whole = fitted(bank, 204)
    assert whole.shape == (2, 3, 128, 204)
    assert torch.equal(whole[..., :198], bank)
    assert not whole[..., 198:].any()
    assert torch.equal(fitted(bank, 100), bank[..., :100])


def test_silence_and_a_level_alone_read_the_floor():
    for wave in (torch.zeros(1000), torch.full((1000,), 0.7)):
        assert torch.allclose(fbank(wave, n_mels=40, **HEARD), torch.tensor(FLOOR))
    assert math.isclose(FLOOR, -15.9424, abs_tol=1e-4)


def test_twice_as_loud_is_two_logarithms_more():
    quiet = fbank(noise(), n_mels=128, **HEARD)
    heard = [k for k in range(128) if k != 3]
    assert torch.allclose(fbank(2 * noise(), n_mels=128, **HEARD)[heard], quiet[heard] + 2 * math.log(2), atol=1e-3)


def test_bands_are_straight_on_the_mel_scale():
    filters = kaldi_filters(16_000, 512, 128)
    assert filters.shape == (128, 257)
    assert (filters.sum(1) == 0).nonzero().flatten().tolist() == [3]
    inner = filters[:, 4:240].sum(0)
    assert torch.allclose(inner, torch.ones_like(inner), atol=1e-5)  # neighbours' sides add up
    assert not filters[:, [0, 256]].any()
    mel = [1127 * math.log(1 + f / 700) for f in (20, 8000, 1000)]
    band = (mel[2] - mel[0]) / (mel[1] - mel[0]) * 129 - 1
    assert abs(int(fbank(sine(), n_mels=128, **HEARD).mean(1).argmax()) - band) <= 1


def test_clips_are_spread_from_the_start_to_the_end():
    assert clip_starts(10.0, 2.0, 3) == [0, 4, 8]
    assert clip_starts(3.0, 2.0, 3) == [0, 0.5, 1]
    assert clip_starts(1.0, 2.0, 3) == [0, 0, 0]
    assert clip_starts(10.0, 2.0, 1) == [0]


def test_a_sound_shorter_than_a_window_is_told():
    assert fbank(torch.ones(400), n_mels=8, **HEARD).shape == (8, 1)
    with pytest.raises(ShapeError, match=r"0\.025 s"):
        fbank(torch.ones(399), n_mels=8, **HEARD)


@pytest.mark.parametrize("wave", [sine(), chirp(), noise()], ids=["sine", "chirp", "noise"])
def test_round_trip_keeps_the_spectrogram_and_the_level(wave):
    bank = fbank(wave, n_mels=128, **HEARD)
    sound = waveform_from_fbank(bank, **HEARD)
    assert sound.shape == (197 * 160 + 400,)
    again = fbank(sound, n_mels=128, **HEARD)
    assert again.shape == bank.shape
    floor = bank.max() - 14  # 60 dB
    inner = slice(4, -4)
    error = (bank.clamp_min(floor) - again.clamp_min(floor))[:, inner].square().mean().sqrt()
    assert error < 0.4  # 1.7 dB
    assert torch.corrcoef(torch.stack([bank[:, inner].flatten(), again[:, inner].flatten()]))[0, 1] > 0.98
    assert 0.7 < sound.std() / wave.std() < 1.4


def test_padding_is_silent_and_an_item_sounds_the_same_in_a_batch():
    short = fitted(fbank(noise(16_000), n_mels=128, **HEARD), 198)
    both = waveform_from_fbank(torch.stack([short, fbank(chirp(), n_mels=128, **HEARD)]), **HEARD)
    assert both[0, :15_000].std() > 0.05
    assert both[0, 17_000:].std() < 1e-3 * both[0, :15_000].std()
    assert torch.allclose(both[0], waveform_from_fbank(short, **HEARD), atol=1e-4)


def test_broken_spectrograms_are_told_and_absurd_levels_stay_finite():
    with pytest.raises(NumericsError):
        waveform_from_fbank(torch.full((128, 60), float("nan")), **HEARD)
    with pytest.raises(ShapeError, match="too few"):
        waveform_from_fbank(torch.zeros(128, 2), **HEARD)
    for level in (-2000.0, 2000.0):
        assert torch.isfinite(waveform_from_fbank(torch.randn(128, 20) + level, **HEARD)).all()
    assert waveform_from_fbank(torch.full((128, 20), FLOOR), **HEARD).abs().max() < 1e-6
