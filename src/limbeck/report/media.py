"""Pictures and sounds as bytes, and as data addresses a page can hold."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from limbeck.modalities import Audio, Depth, Image, Modality
from limbeck.modalities.wav import wav_bytes

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as Picture
    from torch import Tensor

__all__ = ["MAGMA_STOPS", "data_address", "picture_bytes", "render", "signed_picture", "sound_bytes", "thumbnail"]

LARGE = 96
"""Photographs with a longer side than this go into the page as JPEG; everything else is lossless."""
STRIP = 32
"""Values in a row of the picture of a vector."""
MAGMA_STOPS = 64
THUMBNAIL = 256
"""Longer side of a real item at most."""


def render(modality: Modality, values: Tensor, limits: tuple[float, float] | None = None) -> list[Picture]:
    """Normalised (N, *shape) as N pictures: photographs as they are, spectrograms, depth and vectors in colour.

    Args:
        limits: decibel shown darkest and brightest, so that spectrograms can be compared.
    """
    from PIL import Image as Pillow

    if isinstance(modality, Image):
        stored = modality.to_stored(modality.denormalise(values)).numpy()
        return [Pillow.fromarray(x[0] if len(x) == 1 else x.transpose(1, 2, 0).copy()) for x in stored]
    if isinstance(modality, Audio):
        coloured = modality.picture(values, limits).permute(0, 2, 3, 1).numpy()
        return [Pillow.fromarray(x.copy()).quantize(MAGMA_STOPS) for x in coloured]
    if isinstance(modality, Depth):
        return [_grey(x[0], invert=True) for x in modality.denormalise(values)]
    return [_strip(x) for x in values.flatten(1)]


def _grey(x: Tensor, *, invert: bool) -> Picture:
    from PIL import Image as Pillow

    low, high = float(x.min()), float(x.max())
    level = (x - low) / max(high - low, 1e-6)
    return Pillow.fromarray(((1 - level if invert else level) * 255).round().byte().numpy())


def _strip(vector: Tensor) -> Picture:
    """A vector as rows of cells."""
    import torch

    rows = -(-len(vector) // STRIP)
    padded = torch.zeros(rows * STRIP).index_copy_(0, torch.arange(len(vector)), vector.float())
    return signed_picture((padded / vector.abs().quantile(0.99).clamp_min(1e-6)).view(rows, STRIP))


def signed_picture(level: Tensor) -> Picture:
    """(H, W) of -1..1, beyond which colours do not go: copper above zero, blue below, pale at zero."""
    import torch
    from PIL import Image as Pillow

    level = level.clamp(-1, 1).unsqueeze(2)
    pale, above, below = (torch.tensor(c, dtype=torch.float32) for c in ((244, 240, 232), (178, 88, 36), (44, 98, 152)))
    colour = pale + level.clamp_min(0) * (above - pale) + (-level).clamp_min(0) * (below - pale)
    return Pillow.fromarray(colour.round().byte().numpy())


def thumbnail(picture: Picture, side: int) -> Picture:
    """The picture, shrunk to ``side`` pixels, or to what a page needs, where it is larger."""
    side = min(side, THUMBNAIL)
    if max(picture.size) > side:
        picture = picture.convert("RGB") if picture.mode == "P" else picture  # a palette has nothing between colours
        picture.thumbnail((side, side))
    return picture


def picture_bytes(picture: Picture, *, lossless: bool = False, photograph: bool = False) -> tuple[bytes, str]:
    """Encoded picture and its media type: PNG, or JPEG for a large photograph that need not be ``lossless``.

    Args:
        photograph: it is one, so that even a small one may be a JPEG.
    """
    buffer = io.BytesIO()
    picture = picture.convert("RGB") if photograph and picture.mode == "P" else picture
    large = photograph or max(picture.size) > LARGE
    if not lossless and large and picture.mode in ("RGB", "L"):
        picture.save(buffer, "JPEG", quality=80)
        return buffer.getvalue(), "image/jpeg"
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), "image/png"


def sound_bytes(samples: np.ndarray, rate: int, *, compact: bool = False) -> bytes:
    """(samples,) in -1..1 as a mono WAV file: 16 bits a sample, or ``compact`` in 8 bits by ITU-T G.711's mu-law, which
    browsers play all the same."""
    if not compact:
        return wav_bytes(samples, rate)
    import av
    import numpy as np

    buffer, wave = io.BytesIO(), np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")[None]
    with av.open(buffer, "w", format="wav", options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream("pcm_mulaw", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return buffer.getvalue()


def data_address(data: bytes, kind: str) -> str:
    """``data:`` address of some bytes."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
