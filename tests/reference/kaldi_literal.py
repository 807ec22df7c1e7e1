"""Kaldi's log-mel filter bank, literally: one window, one bin and one band at a time, in float64."""

from __future__ import annotations

import math

import numpy as np


def fbank(waveform: np.ndarray, *, sample_rate: int, width: int, hop: int, n_mels: int) -> np.ndarray:
    """(samples,) -> (n_mels, frames), natural logarithm."""
    x = np.asarray(waveform, dtype=np.float64)
    x = x - x.mean()
    size = 1
    while size < width:
        size *= 2
    frames = 1 + (len(x) - width) // hop
    bins = np.arange(size // 2 + 1)
    fourier = np.exp(-2j * np.pi * np.outer(bins, np.arange(size)) / size)

    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    lowest, highest = mel(20.0), mel(sample_rate / 2)
    step = (highest - lowest) / (n_mels + 1)
    out = np.zeros((n_mels, frames))
    for t in range(frames):
        frame = x[t * hop : t * hop + width].copy()
        frame -= frame.mean()
        emphasised = np.zeros(size)
        for i in range(width):
            window = 0.5 - 0.5 * math.cos(2 * math.pi * i / (width - 1))
            emphasised[i] = (frame[i] - 0.97 * frame[max(i - 1, 0)]) * window
        power = np.abs(fourier @ emphasised) ** 2
        for band in range(n_mels):
            left, centre, right = (lowest + step * (band + k) for k in range(3))
            energy = 0.0
            for k in range(size // 2):
                place = mel(k * sample_rate / size)
                if left < place <= centre:
                    energy += power[k] * (place - left) / step
                elif centre < place < right:
                    energy += power[k] * (right - place) / step
            out[band, t] = math.log(max(energy, 2.0**-23))
    return out
