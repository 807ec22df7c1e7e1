"""Sound: a log-mel spectrogram in decibel, and the way back to a waveform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from limbeck.errors import ConfigError, ShapeError, nearest
from limbeck.modalities.base import Modality, whole
from limbeck.modalities.melspec import log_mel, waveform_from_log_mel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCALES", "Audio"]

SCALES = ("standard", "decibel")
"""``standard``: mean and deviation of the store are taken out; ``decibel``: raw decibel, as in AVDD's code."""


@dataclass(frozen=True, kw_only=True)
class Audio(Modality):
    """(1, mel bands, frames); stored half; physical decibel.

    The defaults are the field's (docs/audio_visual.md): 11 kHz, n_fft = window = 400 (periodic Hann), hop 200,
    reflect padding, power, HTK bands from 0 to half the rate, 10 log10(max(x, 1e-10)). One second is 1 x 128 x 56.

    Args:
        sample_rate: in hertz.
        n_fft: samples in a window.
        hop: samples from one frame to the next.
        scale: one of :data:`SCALES`. With raw decibel the audio half of a small set hardly moves
            (docs/audio_visual.md), so ``standard`` is the default and ``decibel`` what reproduces the code; its
            ``mean`` and ``std`` stay 0 and 1.

    Raises:
        ConfigError: on an unknown scale, raw decibel with other constants, or a rate, window or hop that is no whole
            number from 1, or beyond reason.
        ShapeError: if the shape is not (1, bands, frames).
    """

    kind: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float16"

    sample_rate: int = 11_000
    n_fft: int = 400
    hop: int = 200
    scale: str = "standard"

    def __post_init__(self) -> None:
        if isinstance(self.shape, tuple) and (len(self.shape) != 3 or self.shape[0] != 1):
            raise ShapeError(f"a spectrogram is (1, bands, frames), not {self.shape}", where=self.name)
        super().__post_init__()
        for name, most in (("sample_rate", 1 << 24), ("n_fft", 1 << 16), ("hop", 1 << 24)):
            if not whole(getattr(self, name), most):
                raise ConfigError(f"{name} cannot be {getattr(self, name)!r}", where=self.name)
        if self.scale not in SCALES:
            raise ConfigError(f"unknown scale {self.scale!r} of a spectrogram", hint=nearest(self.scale, SCALES))
        if self.scale == "decibel" and (self.mean, self.std) != ((0.0,), (1.0,)):
            raise ConfigError("raw decibel have no mean and deviation", where=self.name, hint="Use scale='standard'.")

    @property
    def samples(self) -> int:
        """Samples of the shortest waveform that gives this shape: (frames - 1) * hop."""
        return (self.shape[2] - 1) * self.hop

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate

    def to_stored(self, physical: Tensor) -> Tensor:
        return physical.half()

    def with_statistics(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """The same modality with other constants; raw decibel keep theirs."""
        return self if self.scale == "decibel" else super().with_statistics(mean, std)

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """(..., samples) at ``sample_rate``, full scale = 1 -> (..., 1, bands, frames) decibel (physical form).

        Raises:
            ShapeError: if the waveform's length does not give ``shape``.
        """
        db = log_mel(waveform, sample_rate=self.sample_rate, n_fft=self.n_fft, hop=self.hop, n_mels=self.shape[1])
        if db.shape[-1] != self.shape[2]:
            raise ShapeError(
                f"{waveform.shape[-1]} samples give {db.shape[-1]} frames, not {self.shape[2]}",
                where=self.name,
                hint=f"Pad or crop to {self.samples} samples.",
            )
        return db.unsqueeze(-3)

    def waveform(self, x: Tensor) -> Tensor:
        """Normalised spectrograms as sound: (N, 1, bands, frames) -> (N, samples) float32 within [-1, 1].

        The level is the spectrogram's own; an item that would clip is turned down as a whole.

        Raises:
            NumericsError: if a value is not finite.
        """
        db = self.denormalise(x.detach())[:, 0]
        sound = waveform_from_log_mel(db, sample_rate=self.sample_rate, n_fft=self.n_fft, hop=self.hop)
        return sound / sound.abs().amax(dim=-1, keepdim=True).clamp_min(1)

    def picture(self, x: Tensor, limits: tuple[float, float] | None = None) -> Tensor:
        """To look at: normalised (N, 1, bands, frames) -> (N, 3, bands, frames) uint8, low bands at the bottom.

        Args:
            limits: decibel shown darkest and brightest; by default percentiles 1 and 99.5, at most 80 dB apart.
        """
        import torch

        db = self.denormalise(x.detach())
        low, high = limits or _limits(db)
        level = ((db - low) / max(high - low, 1e-6)).clamp(0, 1).nan_to_num(0).flip(-2)
        place = level * (len(_MAGMA) - 1)
        below = place.floor().clamp_max(len(_MAGMA) - 2).long()
        table = torch.tensor(_MAGMA, device=x.device)
        colour = torch.lerp(table[below], table[below + 1], (place - below)[..., None])
        return colour[:, 0].permute(0, 3, 1, 2).round().to(torch.uint8)


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
