"""Everything that decides which numbers stand in a prepared store."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limbeck.errors import ConfigError, nearest

__all__ = ["PrepareSettings"]


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Preprocessing of a real set. The defaults are the audio-visual papers' (docs/audio_visual.md).

    Args:
        image_size: side of the square pictures and depth maps; the aspect is ignored, as in the papers.
        channels: 3 (RGB) or 1 (grey).
        antialias: False resizes as the papers' code does (four neighbours, whatever the scale).
        normalisation: of pictures: "papers" (mean and std of the source's papers: one pair for the audio-visual sets,
            CLIP's for the captioned ones), "clip" (CLIP's) or "store" (of the train split).
        window: seconds of sound around the clip's centre, or around the middle of start and end where they are given.
        sample_rate: hertz the sound is resampled to.
        n_fft: samples in a window of the spectrogram.
        hop: samples from one of its frames to the next.
        frames: exactly so many frames: chooses the hop, and trims the window by less than one sample a frame.
        n_mels: bands of the spectrogram.
        mel: "standard" (mean and std of the store are taken out) or "decibel" (raw, as in the papers' code).
        allow_silent: keep items whose sound is silent; otherwise they are bad items.
        depth_unit: metres of one step of a depth file.
        depth_rotated: the bits of depth files are rotated, as in SUN RGB-D.
        text_embedding: "hashing" (words hashed to signed counts, needs nothing) or "minilm" (a real encoder, an extra).
        text_width: numbers of a caption's vector; 384 for minilm. An item's vector is the mean of its captions'.
        modalities: which of the source's modalities to keep, in this order; None: all.
        classes: which classes to keep, in this order; None: all, in the source's order.
        validation: fraction of train to put aside as validation split where the source has none.
        test: the same for a test split, taken first.
        split_seed: which items these are.
        csv: the listing inside the root, where the root holds several.
        clips: folder of the media, relative to the root.
        allow_outside: follow paths that lead out of the root.
        keep_dropped: keep the videos that AVDD leaves out (six of AVE's train list, one of VGGS-10K's test split).
    """

    image_size: int = 224
    channels: int = 3
    antialias: bool = True
    normalisation: str = "papers"
    window: float = 1.0
    sample_rate: int = 11_000
    n_fft: int = 400
    hop: int = 200
    frames: int | None = None
    n_mels: int = 128
    mel: str = "standard"
    allow_silent: bool = False
    depth_unit: float = 0.001
    depth_rotated: bool = False
    text_embedding: str = "hashing"
    text_width: int = 384
    modalities: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    validation: float = 0.0
    test: float = 0.0
    split_seed: int = 0
    csv: str | None = None
    clips: str | None = None
    allow_outside: bool = False
    keep_dropped: bool = False

    def __post_init__(self) -> None:
        _one_of("normalisation", self.normalisation, ("papers", "clip", "store"))
        _one_of("mel", self.mel, ("standard", "decibel"))
        _one_of("text_embedding", self.text_embedding, ("hashing", "minilm"))
        for name in ("image_size", "sample_rate", "n_fft", "hop", "n_mels", "text_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"must be at least 1, not {getattr(self, name)}", where=name)
        if self.channels not in (1, 3):
            raise ConfigError(f"must be 3 (RGB) or 1 (grey), not {self.channels}", where="channels")
        if not (math.isfinite(self.window) and 0 < self.window <= 3600):
            raise ConfigError(f"must be seconds above 0, not {self.window}", where="window")
        if not (math.isfinite(self.depth_unit) and self.depth_unit > 0):
            raise ConfigError(f"must be metres above 0, not {self.depth_unit}", where="depth_unit")
        if min(self.validation, self.test) < 0 or not self.validation + self.test < 1:
            raise ConfigError("fractions must be at least 0 and leave something to train on", where="validation, test")
        if self.frames is not None and self.frames < 2:
            raise ConfigError(f"must be at least 2, not {self.frames}", where="frames")
        if self.text_embedding == "minilm" and self.text_width != 384:
            raise ConfigError(f"is 384 for minilm, not {self.text_width}", where="text_width")
        if self.samples < self.n_fft // 2 + 1 or self.effective_hop < 1:
            what = f"a window of {self.window} s has {self.samples} samples: too few for n_fft {self.n_fft}"
            raise ConfigError(what, where="window", hint="Use a longer window, a smaller n_fft or fewer frames.")

    @property
    def effective_hop(self) -> int:
        """``hop``, or the one that gives ``frames``."""
        if self.frames is None:
            return self.hop
        return round(self.window * self.sample_rate) // (self.frames - 1)

    @property
    def samples(self) -> int:
        """Samples of the waveform behind a spectrogram."""
        if self.frames is None:
            return round(self.window * self.sample_rate)
        return self.effective_hop * (self.frames - 1)

    @property
    def mel_frames(self) -> int:
        """Frames of a spectrogram (centred windows): samples // hop + 1."""
        return self.samples // self.effective_hop + 1


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"unknown {name} {value!r}", where=name, hint=nearest(value, known))
