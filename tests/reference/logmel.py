"""The log-mel spectrogram, literally: the Fourier transform as a matrix of cosines, one band and frame at a time."""

from __future__ import annotations

import math

import numpy as np


def log_mel(waveform: np.ndarray, *, sample_rate: int, n_fft: int, hop: int, n_mels: int) -> np.ndarray:
    """(samples,) -> (n_mels, frames) dB."""
    samples = len(waveform)
    half = n_fft // 2

    def sample(i: int) -> float:  # reflect without repeating the edge
        i = abs(i)
        return float(waveform[i if i < samples else 2 * (samples - 1) - i])

    def hertz(mel: float) -> float:
        return 700 * (10 ** (mel / 2595) - 1)

    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    corners = [hertz(top * k / (n_mels + 1)) for k in range(n_mels + 2)]
    frequencies = [k * sample_rate / n_fft for k in range(half + 1)]
    angles = -2 * np.pi * np.outer(np.arange(half + 1), np.arange(n_fft)) / n_fft
    fourier = np.cos(angles) + 1j * np.sin(angles)

    out = np.zeros((n_mels, samples // hop + 1))
    for frame in range(out.shape[1]):
        window = np.array(
            [sample(frame * hop - half + j) * (0.5 - 0.5 * math.cos(2 * math.pi * j / n_fft)) for j in range(n_fft)]
        )
        power = np.abs(fourier @ window) ** 2
        for band in range(n_mels):
            low, centre, high = corners[band : band + 3]
            energy = 0.0
            for frequency, value in zip(frequencies, power, strict=True):
                if low < frequency <= centre:
                    energy += value * (frequency - low) / (centre - low)
                elif centre < frequency < high:
                    energy += value * (high - frequency) / (high - centre)
            out[band, frame] = 10 * math.log10(max(energy, 1e-10))
    return out
