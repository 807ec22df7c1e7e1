"""CLAP's tower for sound, on the log-mel spectrograms that stores hold.

CLAP reads 64 Slaney bands between two frequencies, a store has HTK bands from 0 to half the rate. Both are weighted
sums of one power spectrum, so the first are fitted by non-negative sums of the second: with 256 bands to 0.05 dB, with
128 to 0.4 dB (measured on noise, a chirp and a harmonic sound), with 64 not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.from_transformers import LibraryModel
from limbeck.errors import ConfigError
from limbeck.modalities import Audio
from limbeck.modalities.melspec import FLOOR, mel_filters

__all__ = ["ClapSound"]

RATE, WINDOW, HOP = 48_000, 1024, 480
"""Of the spectrograms CLAP reads, as published; in hertz and samples."""
FRAMES = 1001
"""Ten seconds."""
LOW, HIGH = 50.0, 14_000.0
"""Hertz that its bands lie between."""
FEWEST = 128
"""Bands that its own can be made of."""
SILENCE = -100.0
"""Decibel of :data:`FLOOR`."""


@dataclass(frozen=True)
class ClapSound(LibraryModel):
    """Sound: bands fitted to CLAP's; shorter sounds are repeated whole and then followed by silence, of longer ones
    the first ten seconds are heard; what ``ClapModel.get_audio_features`` gives, of length 1."""

    kind: ClassVar[str] = "clap"

    def __post_init__(self) -> None:
        sound, audio = self.modality, self.settings["audio_config"]
        if audio["enable_fusion"]:
            raise ConfigError("a fused CLAP reads four spectrograms of each sound", where="clap",
                              hint="Use an unfused one, such as clap-htsat-unfused.")  # fmt: skip
        if not isinstance(sound, Audio) or not _heard(sound):
            raise ConfigError(
                f"CLAP hears sound of {RATE} Hz, windows of {WINDOW} and a hop of {HOP} samples in at least {FEWEST} "
                f"HTK bands; {sound.name!r} is {sound.kind} of {sound.shape}",
                where="clap",
                hint=f"Prepare it with --sample-rate {RATE} --n-fft {WINDOW} --hop {HOP} --n-mels 256 --window 10.",
            )

    def preprocessed(self, physical: Tensor) -> Tensor:
        bands = physical.shape[2]
        power = clap_bands(bands, int(self.settings["audio_config"]["num_mel_bins"])).to(physical)
        db = 10 * (power @ (10 ** (physical / 10))).clamp_min(FLOOR).log10()
        return repeated(db).mT


def _heard(sound: Audio) -> bool:
    own = (sound.sample_rate, sound.n_fft, sound.hop) == (RATE, WINDOW, HOP)
    return own and sound.shape[1] >= FEWEST and sound.scale != "kaldi"


def repeated(db: Tensor) -> Tensor:
    """(N, 1, B, frames) -> (N, 1, B, 1001)."""
    frames = db.shape[-1]
    if frames >= FRAMES:
        return db[..., :FRAMES]
    once = db[..., : max(1, frames - 1)]  # a spectrogram of n hops has n + 1 frames
    times = (FRAMES - 1) // once.shape[-1]
    whole = once.repeat(1, 1, 1, times)
    return F.pad(whole, (0, FRAMES - whole.shape[-1]), value=SILENCE)


@lru_cache(maxsize=4)
def clap_bands(bands: int, wanted: int) -> Tensor:
    """(``wanted``, ``bands``): CLAP's bands as non-negative sums of a store's."""
    import numpy as np
    from scipy.optimize import nnls
    from transformers.audio_utils import mel_filter_bank

    own = mel_filters(RATE, WINDOW, bands).double().numpy()
    target = mel_filter_bank(WINDOW // 2 + 1, wanted, LOW, HIGH, RATE, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(np.stack([nnls(own.T, band)[0] for band in target.T])).float()
