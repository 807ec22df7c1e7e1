"""Kaldi's log-mel filter bank as ImageBind hears it (docs/imagebind.md), and the way back to a waveform.

Forward: the mean of a clip is taken out; windows of ``width`` samples every ``hop`` that lie wholly inside; of each its
mean is taken out, pre-emphasis 0.97, a symmetric Hann window, zeros up to the next power of two, power; triangles on
Kaldi's mel scale from 20 Hz to half the rate; natural logarithm, no less than that of float32's epsilon. Back: the
bands' power -> a non-negative inverse of the filter bank -> pre-emphasis undone -> Griffin-Lim.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from limbeck.errors import NumericsError, ShapeError
from limbeck.modalities.melspec import DECIBEL, sound_of_bands

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FLOOR", "clip_starts", "fbank", "fitted", "kaldi_filters", "waveform_from_fbank"]

EPSILON = 1.1920928955078125e-07
FLOOR = math.log(EPSILON)
"""What silence reads: -15.94."""
PREEMPHASIS = 0.97
LOWEST = 20.0
"""Hertz at which the lowest band begins."""


def clip_starts(seconds: float, clip: float, count: int) -> list[float]:
    """Where ``count`` clips of ``clip`` seconds begin in ``seconds`` of sound: spread from its start to its end, and
    all at 0 where it is no longer than one of them."""
    last = max(seconds - clip, 0.0)
    return [k * last / max(count - 1, 1) for k in range(count)]


def fbank(waveform: Tensor, *, sample_rate: int, width: int, hop: int, n_mels: int) -> Tensor:
    """Log-mel energies of one clip.

    Args:
        waveform: (..., samples), full scale = 1.
        sample_rate: in hertz.
        width: samples in a window.
        hop: samples from one window to the next.
        n_mels: number of bands.

    Returns:
        (..., n_mels, 1 + (samples - width) // hop) float32, natural logarithm of power.

    Raises:
        ShapeError: if the waveform is shorter than a window.
    """
    import torch

    samples = waveform.shape[-1] if waveform.ndim else 0
    if samples < width:
        raise ShapeError(
            f"a waveform of {samples} samples is shorter than a window of {width}",
            hint=f"It takes at least {width / sample_rate:.3f} s of sound.",
        )
    waveform = waveform.float()
    frames = (waveform - waveform.mean(-1, keepdim=True)).unfold(-1, width, hop)
    frames = frames - frames.mean(-1, keepdim=True)
    # the sample before a window's first is taken to be that first one
    before = torch.cat([frames[..., :1], frames[..., :-1]], -1)
    shaped = (frames - PREEMPHASIS * before) * _window(frames, width)
    spectrum = torch.fft.rfft(shaped, n=_fft(width))
    power = spectrum.real.square() + spectrum.imag.square()
    bands: Tensor = power @ kaldi_filters(sample_rate, _fft(width), n_mels).to(power.device).T
    return bands.clamp_min(EPSILON).log().mT


def fitted(bands: Tensor, frames: int) -> Tensor:
    """(..., n_mels, any) -> (..., n_mels, frames): cut, or zeros at the end, as ImageBind does before normalising."""
    import torch

    return torch.nn.functional.pad(bands[..., :frames], (0, max(0, frames - bands.shape[-1])))


@lru_cache(maxsize=16)
def kaldi_filters(sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Kaldi's mel bands: triangles that are straight on the mel scale 1127 ln(1 + f / 700), not in hertz.

    Returns:
        (n_mels, n_fft // 2 + 1) float32. Cached: do not write into it. A band between two bins is empty and reads
        silence: number 3 of the 128 at 16 kHz.
    """
    import torch

    bins = _mel(torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft)
    ends = _mel(torch.tensor([LOWEST, sample_rate / 2], dtype=torch.float64))
    step = (ends[1] - ends[0]) / (n_mels + 1)
    low = ends[0] + step * torch.arange(n_mels, dtype=torch.float64)[:, None]
    filters = torch.minimum((bins - low) / step, (low + 2 * step - bins) / step).clamp_min(0)
    filters[:, -1] = 0  # half the rate itself belongs to no band
    return filters.float()


def waveform_from_fbank(bands: Tensor, *, sample_rate: int, width: int, hop: int) -> Tensor:
    """A waveform whose :func:`fbank` is close to ``bands``; the same one every time, whatever else is in the batch.

    Frames at the end that are zero in every band are padding and sound as nothing.

    Args:
        bands: (..., n_mels, frames). Levels above full scale are fine: the result is not limited to [-1, 1].
        sample_rate, width, hop: as in :func:`fbank`.

    Returns:
        (..., (frames - 1) * hop + width) float32; half a window at either end is silent.

    Raises:
        ShapeError: if there are too few frames for one window, or windows that do not overlap.
        NumericsError: if a value is not finite.
    """
    import torch

    *batch, n_mels, frames = bands.shape
    flat = bands.detach().float().reshape(-1, n_mels, frames)
    if not torch.isfinite(flat).all():
        raise NumericsError("a spectrogram has values that are not finite")
    empty = (flat.abs() < 1e-3).all(1, keepdim=True).flip(2).int().cummin(2).values.flip(2).bool()
    n_fft = _fft(width)
    turn = torch.arange(n_fft // 2 + 1, device=flat.device) * 2 * torch.pi / n_fft
    emphasis = 1 + PREEMPHASIS**2 - 2 * PREEMPHASIS * turn.cos()
    sound = sound_of_bands(
        flat.masked_fill(empty, FLOOR) * DECIBEL,
        kaldi_filters(sample_rate, n_fft, n_mels).to(flat.device) * emphasis,
        _window(flat, width),
        n_fft,
        hop,
        floor=(FLOOR + 1e-2) * DECIBEL,
    )
    # windows lie inside the clip, so the first one's centre is half a window from its beginning
    sound = torch.nn.functional.pad(sound, (width // 2, width - width // 2))
    return sound.view(*batch, -1)


def _fft(width: int) -> int:
    """The next power of two."""
    return 1 << (width - 1).bit_length()


def _window(like: Tensor, width: int) -> Tensor:
    import torch

    return torch.hann_window(width, periodic=False, dtype=like.dtype, device=like.device)


def _mel(hertz: Tensor) -> Tensor:
    return 1127 * (1 + hertz / 700).log()
