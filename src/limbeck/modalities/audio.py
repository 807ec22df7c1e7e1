"""Sound: log-mel spectrograms, and the way back to a waveform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from limbeck.errors import ConfigError, ShapeError, nearest
from limbeck.modalities.base import Modality, whole
from limbeck.modalities.fbank import clip_starts, fbank, fitted, waveform_from_fbank
from limbeck.modalities.melspec import DECIBEL, log_mel, waveform_from_log_mel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KALDI_MEAN", "KALDI_STD", "SCALES", "Audio"]

SCALES = ("standard", "decibel", "kaldi")
"""``standard``: mean and deviation of the store are taken out; ``decibel``: raw decibel, as in AVDD's code; ``kaldi``:
clips of Kaldi's filter bank in natural logarithms with ImageBind's constants."""
KALDI_MEAN, KALDI_STD = -4.268, 9.138
"""What ImageBind takes out of its spectrograms (docs/imagebind.md)."""


@dataclass(frozen=True, kw_only=True)
class Audio(Modality):
    """(clips, mel bands, frames); stored half; physical decibel, of scale "kaldi" natural logarithms of power.

    The defaults are the field's (docs/audio_visual.md): 11 kHz, n_fft = window = 400 (periodic Hann), hop 200,
    reflect padding, power, HTK bands from 0 to half the rate, 10 log10(max(x, 1e-10)). One second is 1 x 128 x 56.
    :meth:`kaldi` has ImageBind's.

    Args:
        sample_rate: in hertz.
        n_fft: samples in a window.
        hop: samples from one frame to the next.
        scale: one of :data:`SCALES`. With raw decibel the audio half of a small set hardly moves
            (docs/audio_visual.md), so ``standard`` is the default and ``decibel`` what reproduces the code; its
            ``mean`` and ``std`` stay 0 and 1.
        clip_samples: of each clip of scale "kaldi", which has at most as many frames as the shape; what is left of
            these is zero, before normalisation. 0 for the other scales.

    Raises:
        ConfigError: on an unknown scale, raw decibel with other constants, a rate, window or hop that is no whole
            number from 1, or beyond reason, or clips that do not fit the scale.
        ShapeError: if the shape is not (1, bands, frames), of scale "kaldi" (clips, bands, frames).
    """

    kind: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float16"

    sample_rate: int = 11_000
    n_fft: int = 400
    hop: int = 200
    scale: str = "standard"
    clip_samples: int = 0

    @classmethod
    def kaldi(cls, *, name: str = "audio", clips: int = 3, frames: int = 204, seconds: float = 2.0) -> Self:
        """ImageBind's sound: ``clips`` of so many ``seconds`` at 16 kHz, 25 ms every 10 ms, 128 bands, ``frames``."""
        return cls(
            name=name,
            shape=(clips, 128, frames),
            mean=(KALDI_MEAN,),
            std=(KALDI_STD,),
            sample_rate=16_000,
            n_fft=400,
            hop=160,
            scale="kaldi",
            clip_samples=round(seconds * 16_000),
        )

    def __post_init__(self) -> None:
        one = self.scale != "kaldi"
        if isinstance(self.shape, tuple) and (len(self.shape) != 3 or (one and self.shape[0] != 1)):
            form = f"({1 if one else 'clips'}, bands, frames)"
            raise ShapeError(f"a spectrogram is {form}, not {self.shape}", where=self.name)
        super().__post_init__()
        for name, most in (("sample_rate", 1 << 24), ("n_fft", 1 << 16), ("hop", 1 << 24)):
            if not whole(getattr(self, name), most):
                raise ConfigError(f"{name} cannot be {getattr(self, name)!r}", where=self.name)
        if self.scale not in SCALES:
            raise ConfigError(f"unknown scale {self.scale!r} of a spectrogram", hint=nearest(self.scale, SCALES))
        if self.scale == "decibel" and (self.mean, self.std) != ((0.0,), (1.0,)):
            raise ConfigError("raw decibel have no mean and deviation", where=self.name, hint="Use scale='standard'.")

        fits = self.clip_samples == 0 if one else whole(self.clip_samples, 1 << 26) and self.clip_samples >= self.n_fft
        if not fits:
            what = f"clip_samples cannot be {self.clip_samples!r} of scale {self.scale!r}"
            raise ConfigError(what, where=self.name, hint="Audio.kaldi() is ImageBind's.")

    def to_dict(self) -> dict[str, Any]:
        """Without ``clip_samples`` where there are none, as sets were written before there were any."""
        fields = super().to_dict()
        return fields if self.clip_samples else {k: v for k, v in fields.items() if k != "clip_samples"}

    @property
    def samples(self) -> int:
        """Samples an item sounds for: of the shortest waveform that gives this shape; of scale "kaldi", all clips."""
        if self.scale == "kaldi":
            return self.shape[0] * ((self._sounding - 1) * self.hop + self.n_fft)
        return (self.shape[2] - 1) * self.hop

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate

    @property
    def _sounding(self) -> int:
        """Frames of a whole clip; those after it are padding."""
        return min(self.shape[2], 1 + (self.clip_samples - self.n_fft) // self.hop)

    def to_stored(self, physical: Tensor) -> Tensor:
        return physical.half()

    def with_statistics(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """The same modality with other constants; raw decibel keep theirs."""
        return self if self.scale == "decibel" else super().with_statistics(mean, std)

    def decibel(self, physical: Tensor) -> Tensor:
        """Physical values in decibel, whatever the scale."""
        return physical * DECIBEL if self.scale == "kaldi" else physical

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """(..., samples) at ``sample_rate``, full scale = 1 -> (..., clips, bands, frames), physical form.

        Of scale "kaldi" the clips are spread over the whole waveform (:func:`limbeck.modalities.fbank.clip_starts`),
        and one that is shorter than a clip gives the same clip each time, with zeros after it.

        Raises:
            ShapeError: if the waveform's length does not give ``shape``, or not a single frame.
        """
        if self.scale == "kaldi":
            return self._clips(waveform)
        db = log_mel(waveform, sample_rate=self.sample_rate, n_fft=self.n_fft, hop=self.hop, n_mels=self.shape[1])
        if db.shape[-1] != self.shape[2]:
            raise ShapeError(
                f"{waveform.shape[-1]} samples give {db.shape[-1]} frames, not {self.shape[2]}",
                where=self.name,
                hint=f"Pad or crop to {self.samples} samples.",
            )
        return db.unsqueeze(-3)

    def _clips(self, waveform: Tensor) -> Tensor:
        import torch

        clips, n_mels, frames = self.shape
        starts = clip_starts(waveform.shape[-1], self.clip_samples, clips)
        parts = [
            fbank(
                waveform[..., round(start) : round(start) + self.clip_samples],
                sample_rate=self.sample_rate,
                width=self.n_fft,
                hop=self.hop,
                n_mels=n_mels,
            )
            for start in starts
        ]
        return torch.stack([fitted(part, frames) for part in parts], -3)

    def waveform(self, x: Tensor) -> Tensor:
        """Normalised spectrograms as sound: (N, clips, bands, frames) -> (N, samples) float32 within [-1, 1].

        The level is the spectrogram's own; an item that would clip is turned down as a whole. Several clips sound
        one after the other.

        Raises:
            NumericsError: if a value is not finite.
        """
        physical = self.denormalise(x.detach())
        if self.scale == "kaldi":
            sound = waveform_from_fbank(
                physical[..., : self._sounding], sample_rate=self.sample_rate, width=self.n_fft, hop=self.hop
            ).flatten(1)
        else:
            sound = waveform_from_log_mel(physical[:, 0], sample_rate=self.sample_rate, n_fft=self.n_fft, hop=self.hop)
        return sound / sound.abs().amax(dim=-1, keepdim=True).clamp_min(1)

    def picture(self, x: Tensor, limits: tuple[float, float] | None = None) -> Tensor:
        """To look at: normalised (N, clips, bands, frames) -> (N, 3, bands, clips * frames) uint8, clips side by side,
        low bands at the bottom.

        Args:
            limits: decibel shown darkest and brightest; by default percentiles 1 and 99.5, at most 80 dB apart.
        """
        import torch

        db = self.decibel(self.denormalise(x.detach()))
        low, high = limits or _limits(db)
        level = ((db - low) / max(high - low, 1e-6)).clamp(0, 1).nan_to_num(0).flip(-2)
        place = level * (len(_MAGMA) - 1)
        below = place.floor().clamp_max(len(_MAGMA) - 2).long()
        table = torch.tensor(_MAGMA, device=x.device)
        colour = torch.lerp(table[below], table[below + 1], (place - below)[..., None])
        return colour.permute(0, 4, 2, 1, 3).flatten(3).round().to(torch.uint8)


def _limits(db: Tensor) -> tuple[float, float]:
    import torch

    values = db.flatten()
    values = values[torch.isfinite(values)].sort().values
    if not len(values):
        return -80.0, 0.0
    high = float(values[int(0.995 * (len(values) - 1))])
    return max(float(values[int(0.01 * (len(values) - 1))]), high - 80), high


# Nine stops of the magma colour map, evenly spaced: perceptually even, and right in grey.
_MAGMA = [
    [0.0, 0.0, 4.0],
    [29.0, 17.0, 71.0],
    [81.0, 18.0, 124.0],
    [130.0, 37.0, 129.0],
    [183.0, 55.0, 121.0],
    [230.0, 81.0, 100.0],
    [252.0, 137.0, 97.0],
    [254.0, 196.0, 136.0],
    [252.0, 253.0, 191.0],
]
