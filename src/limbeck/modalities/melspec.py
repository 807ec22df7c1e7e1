"""The field's log-mel spectrogram (docs/audio_visual.md) and the way back to a waveform.

Forward: periodic Hann window of ``n_fft`` samples, centred frames with reflect padding, power, HTK mel bands from 0
to half the rate without any area normalisation, ``10 log10(max(power, 1e-10))``, no dynamic-range floor. Back:
decibel -> power -> a non-negative inverse of the filter bank -> Griffin-Lim.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from limbeck.errors import NumericsError, ShapeError
from limbeck.rng import stream

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DECIBEL", "FLOOR", "log_mel", "mel_filters", "sound_of_bands", "waveform_from_log_mel"]

DECIBEL = 10 / math.log(10)
"""Of one natural logarithm of power."""

FLOOR = 1e-10
"""Power below which everything is silence: -100 dB."""


@lru_cache(maxsize=16)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """HTK mel bands as triangles over the bins of the Fourier transform.

    Returns:
        (n_mels, n_fft // 2 + 1) float32, peaks of height one. Cached: do not write into it. A band narrower than a
        bin is empty (band 0 at 11 kHz and n_fft 400) and reads silence.
    """
    import torch

    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    top = 2595 * torch.log10(torch.tensor(1 + sample_rate / 2 / 700, dtype=torch.float64))
    corners = 700 * (10 ** (torch.linspace(0, 1, n_mels + 2, dtype=torch.float64) * top / 2595) - 1)
    low, centre, high = (corners[i : i + n_mels, None] for i in range(3))
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return torch.minimum(rising, falling).clamp_min(0).float()


def log_mel(waveform: Tensor, *, sample_rate: int, n_fft: int, hop: int, n_mels: int) -> Tensor:
    """Log-mel spectrogram in decibel.

    Args:
        waveform: (..., samples), full scale = 1.
        sample_rate: in hertz.
        n_fft: samples in a window.
        hop: samples from one frame to the next.
        n_mels: number of bands.

    Returns:
        (..., n_mels, samples // hop + 1) float32.

    Raises:
        ShapeError: if the waveform is too short to be mirrored at its ends (needs n_fft // 2 + 1 samples).
    """
    import torch

    samples = waveform.shape[-1] if waveform.ndim else 0
    shortest = n_fft // 2 + 1
    if samples < shortest:
        raise ShapeError(
            f"a waveform of {samples} samples is too short for windows of {n_fft}",
            hint=f"Pad it to at least {shortest} samples ({shortest / sample_rate:.3f} s at {sample_rate} Hz).",
        )
    flat = waveform.float().reshape(-1, samples)
    spectrum = torch.stft(flat, n_fft, hop, window=_window(flat, n_fft), pad_mode="reflect", return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    bands = mel_filters(sample_rate, n_fft, n_mels).to(power.device) @ power
    return (10 * torch.log10(bands.clamp_min(FLOOR))).view(*waveform.shape[:-1], n_mels, -1)


def waveform_from_log_mel(
    db: Tensor, *, sample_rate: int, n_fft: int, hop: int, inversions: int = 60, iterations: int = 60
) -> Tensor:
    """A waveform whose log-mel spectrogram is close to ``db``; the same one every time, whatever else is in the
    batch.

    Args:
        db: (..., n_mels, frames) decibel. Levels above full scale are fine: the result is not limited to [-1, 1].
        sample_rate, n_fft, hop: as in :func:`log_mel`.
        inversions: updates of the non-negative inverse of the filter bank.
        iterations: of Griffin-Lim.

    Returns:
        (..., (frames - 1) * hop) float32.

    Raises:
        ShapeError: if there are too few frames for one window, or windows that do not overlap.
        NumericsError: if a value is not finite.
    """
    import torch

    *batch, n_mels, frames = db.shape
    flat = db.detach().float().reshape(-1, n_mels, frames)
    if not torch.isfinite(flat).all():
        raise NumericsError("a spectrogram has values that are not finite")
    sound = sound_of_bands(
        flat,
        mel_filters(sample_rate, n_fft, n_mels).to(flat.device),
        _window(flat, n_fft),
        n_fft,
        hop,
        floor=10 * math.log10(FLOOR) + 1e-3,
        inversions=inversions,
        iterations=iterations,
    )
    return sound.view(*batch, -1)


def sound_of_bands(
    db: Tensor,
    filters: Tensor,
    window: Tensor,
    n_fft: int,
    hop: int,
    *,
    floor: float,
    inversions: int = 60,
    iterations: int = 60,
) -> Tensor:
    """Sound from the power in any bands.

    Args:
        db: (n, bands, frames) decibel, finite.
        filters: (bands, n_fft // 2 + 1): what of each bin's power a band holds.
        window: (width,), at most n_fft.
        n_fft: samples of the Fourier transform.
        hop: samples from one frame to the next.
        floor: decibel that stand for nothing at all.

    Returns:
        (n, (frames - 1) * hop) float32.

    Raises:
        ShapeError: if there are too few frames for one window, or windows that do not overlap.
    """
    frames = db.shape[2]
    if (frames - 1) * hop <= n_fft // 2:
        raise ShapeError(f"{frames} frames are too few to make sound of: windows of {n_fft} samples every {hop}")
    if hop >= len(window):
        raise ShapeError(f"no sound can be made of windows of {len(window)} samples every {hop}: they do not overlap")
    # Relative to each item's loudest value, so that the work neither over- nor underflows whatever the level.
    loudest = db.amax(dim=(1, 2), keepdim=True).clamp(-100, 200)
    power = (10 ** ((db - loudest) / 10)).clamp_max(1) * (db > floor)
    magnitude = _spectrum_of(power, filters, inversions).sqrt()
    return _griffin_lim(magnitude, window, n_fft, hop, iterations) * 10 ** (loudest[:, 0] / 20)


def _window(like: Tensor, n_fft: int) -> Tensor:
    import torch

    return torch.hann_window(n_fft, periodic=True, dtype=like.dtype, device=like.device)


def _spectrum_of(bands: Tensor, filters: Tensor, updates: int) -> Tensor:
    """Non-negative power spectrum whose mel bands are ``bands``: (n, mels, frames) -> (n, bins, frames).

    Multiplicative updates for the Kullback-Leibler divergence (Lee and Seung, 2001). Measured on a sine, a chirp and
    noise: round trips within 2.4, 2.3 and 0.7 dB in 30 ms, against 2.6, 3.5 and 1.3 dB in 130 ms for exact
    non-negative least squares, which answers with isolated lines.
    """
    reach = filters.sum(0)[:, None]
    covered = reach > 0
    weight = covered / reach.clamp_min(1e-12)
    spectrum = weight * (filters.T @ bands)
    for _ in range(updates):
        spectrum = spectrum * weight * (filters.T @ (bands / (filters @ spectrum).clamp_min(1e-20)))
    return spectrum


def _griffin_lim(
    magnitude: Tensor, window: Tensor, n_fft: int, hop: int, iterations: int, momentum: float = 0.99
) -> Tensor:
    """Fast Griffin-Lim (Perraudin et al., 2013): (n, bins, frames) magnitudes -> (n, (frames - 1) * hop) samples."""
    import torch

    _, bins, frames = magnitude.shape
    width, length = len(window), (frames - 1) * hop
    # One phase for all items: an item sounds the same alone and in a batch.
    turns = torch.rand(bins, frames, generator=stream(0, "griffin-lim", bins, frames)).to(magnitude.device)
    phase = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns).expand(magnitude.shape)
    previous = torch.zeros_like(phase)
    for _ in range(iterations):
        sound = torch.istft(magnitude * phase, n_fft, hop, width, window, length=length)
        heard = torch.stft(sound, n_fft, hop, width, window, pad_mode="reflect", return_complex=True)
        ahead = heard - momentum / (1 + momentum) * previous
        phase, previous = ahead / ahead.abs().clamp_min(1e-16), heard
    return torch.istft(magnitude * phase, n_fft, hop, width, window, length=length)
