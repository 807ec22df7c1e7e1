"""Everything that decides which numbers stand in a prepared store."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from limbeck.errors import ConfigError, nearest

__all__ = ["PRESETS", "TEXTS", "PrepareSettings", "preset"]

TEXTS = ("hashing", "minilm", "imagebind", "clip")
"""Encoders of captions that a store can be prepared with."""
PRESETS: dict[str, dict[str, Any]] = {
    "imagebind": {"image_size": 224, "normalisation": "clip", "mel": "kaldi", "text_embedding": "imagebind"},
}
"""By what a store is prepared for: settings of what reads it, below those that are given."""
KALDI: dict[str, Any] = {"sample_rate": 16_000, "hop": 160, "frames": 204, "sound_clips": 3, "clip_seconds": 2.0}
"""ImageBind's (docs/imagebind.md), for what is left at its default with mel "kaldi"; bands and window are the same."""


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Preprocessing of a real set. The defaults are the audio-visual papers' (docs/audio_visual.md).

    Args:
        image_size: side of the square pictures and depth maps; the aspect is ignored, as in the papers.
        channels: 3 (RGB) or 1 (grey).
        antialias: False resizes as the papers' code does (four neighbours, whatever the scale).
        normalisation: of pictures: "papers" (mean and std of the source's papers: one pair for the audio-visual sets,
            CLIP's for the captioned ones), "clip" (CLIP's) or "store" (of the train split).
        window: seconds of sound around the clip's centre, or around the middle of start and end where they are given;
            with mel "kaldi" clips are spread over all of the sound, or from start to end, and this is only what the
            readers that cut long videos make of them.
        sample_rate: hertz the sound is resampled to.
        n_fft: samples in a window of the spectrogram.
        hop: samples from one of its frames to the next.
        frames: exactly so many frames: chooses the hop, and trims the window by less than one sample a frame; with mel
            "kaldi" each clip is cut or filled up with zeros to so many.
        n_mels: bands of the spectrogram.
        mel: "standard" (mean and std of the store are taken out), "decibel" (raw, as in the papers' code) or "kaldi"
            (ImageBind's clips of Kaldi's filter bank, first channel; sample_rate 16000, hop 160 and frames 204 are its
            defaults).
        sound_clips: with mel "kaldi", clips of an item [3].
        clip_seconds: with mel "kaldi", of each [2].
        allow_silent: keep items whose sound is silent; otherwise they are bad items.
        depth_unit: metres of one step of a depth file.
        depth_rotated: the bits of depth files are rotated, as in SUN RGB-D.
        text_embedding: "hashing" (words hashed to signed counts, needs nothing), "minilm" (a real encoder, an extra),
            "imagebind" or "clip" (weights that you have put on this machine).
        text_width: numbers of a caption's vector; 384 for minilm; imagebind and clip have their own. An item's vector
            is the mean of its captions'.
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
    sound_clips: int | None = None
    clip_seconds: float | None = None
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
        self._settle_kaldi()
        _one_of("normalisation", self.normalisation, ("papers", "clip", "store"))
        _one_of("mel", self.mel, ("standard", "decibel", "kaldi"))
        _one_of("text_embedding", self.text_embedding, TEXTS)
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
        if self.clip_seconds is not None and self.samples < self.n_fft:
            raise ConfigError(f"is shorter than a window of {self.n_fft} samples", where="clip_seconds")
        if self.samples < self.n_fft // 2 + 1 or self.effective_hop < 1:
            what = f"a window of {self.window} s has {self.samples} samples: too few for n_fft {self.n_fft}"
            raise ConfigError(what, where="window", hint="Use a longer window, a smaller n_fft or fewer frames.")

    def _settle_kaldi(self) -> None:
        """Kaldi's numbers where nothing else is said; its clips are nobody else's."""
        if self.mel == "kaldi":
            for field in fields(self):
                if field.name in KALDI and getattr(self, field.name) == field.default:
                    object.__setattr__(self, field.name, KALDI[field.name])
        for name, most in (("sound_clips", 1000), ("clip_seconds", 3600)):
            value = getattr(self, name)
            if value is not None and self.mel != "kaldi":
                raise ConfigError("only with mel kaldi", where=name)
            if value is not None and not 0 < value <= most:
                raise ConfigError(f"must be above 0 and at most {most}, not {value}", where=name)

    @property
    def first_channel(self) -> bool:
        """Sound is its first channel, as Kaldi's filter bank reads it; else the mean of all."""
        return self.mel == "kaldi"

    @property
    def effective_hop(self) -> int:
        """``hop``, or the one that gives ``frames``."""
        if self.frames is None or self.mel == "kaldi":
            return self.hop
        return round(self.window * self.sample_rate) // (self.frames - 1)

    @property
    def samples(self) -> int:
        """Samples of the waveform behind a spectrogram, or behind one of its clips."""
        if self.clip_seconds is not None:
            return round(self.clip_seconds * self.sample_rate)
        if self.frames is None:
            return round(self.window * self.sample_rate)
        return self.effective_hop * (self.frames - 1)

    @property
    def mel_frames(self) -> int:
        """Frames of a spectrogram (centred windows): samples // hop + 1; of kaldi ``frames``."""
        if self.frames is not None and self.mel == "kaldi":
            return self.frames
        return self.samples // self.effective_hop + 1


def preset(name: str) -> dict[str, Any]:
    """Settings of :data:`PRESETS`. Raises ConfigError on a name that is not there."""
    if name not in PRESETS:
        raise ConfigError(f"nothing is prepared for {name!r}", where="--for", hint=nearest(name, PRESETS))
    return PRESETS[name]


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"unknown {name} {value!r}", where=name, hint=nearest(value, known))
