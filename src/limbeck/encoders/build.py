"""Which encoder each modality of a set gets: equal widths, by the rule of docs/audio_visual.md"""

from __future__ import annotations

import math
from collections.abc import Mapping

from limbeck.encoders.base import Encoder
from limbeck.encoders.convnet import ConvNet, Kernels, Precision
from limbeck.encoders.linear import Linear
from limbeck.errors import ConfigError
from limbeck.modalities import Audio, Modality

__all__ = ["encoders_for", "fitting_channels", "picture_blocks", "side_of"]


def encoders_for(
    modalities: Mapping[str, Modality],
    *,
    channels: int = 128,
    kernels: Kernels = "literal",
    precision: Precision = "fp32",
) -> dict[str, Encoder]:
    """One encoder a modality, all of the same embedding width D = channels x grid, because ICM and CGM add them up.

    Pictures (RGB, grey, depth) have as many blocks as their size asks for and decide the grid; spectrograms have three
    blocks [code] and an adaptive last pool onto that grid, and so has a second picture of another size. Vectors get one
    linear layer. Without a picture the grid is 7 x 7 for spectrograms of the papers' size (both sides at least 56),
    else 4 x 4 [choice].

    Raises:
        ConfigError: no modality, or items too small for a network.
    """
    if not modalities:
        raise ConfigError("there is no modality to build an encoder for")
    grid = _grid(modalities, channels)
    encoders: dict[str, Encoder] = {}
    for name, modality in modalities.items():
        if not modality.spatial:
            encoders[name] = Linear(math.prod(modality.shape), channels * math.prod(grid))
            continue
        c, h, w = modality.shape
        if isinstance(modality, Audio):
            encoders[name] = ConvNet(c, h, w, 3, channels, 3, grid, kernels, precision)
        else:
            net = ConvNet(c, h, w, picture_blocks(h, w), channels, kernels=kernels, precision=precision)
            if net.output_grid != grid:
                net = ConvNet(c, h, w, net.blocks, channels, grid=grid, kernels=kernels, precision=precision)
            encoders[name] = net
    return encoders


def picture_blocks(height: int, width: int) -> int:
    """floor(log2(side / 4)) of the shorter side, at least one; a side of 7 x 2^k has k, so 224 has the papers' five."""
    side = min(height, width)
    return max(1, (side // 4).bit_length() - 1)


def side_of(modalities: Mapping[str, Modality]) -> int:
    """What says how large a set's media are: the longer side of its pictures, of sound the shorter one where it has no
    picture, 0 of vectors."""
    pictures = [max(m.shape[1:]) for m in modalities.values() if m.spatial and not isinstance(m, Audio)]
    sounds = [min(m.shape[1:]) for m in modalities.values() if m.spatial]
    return max(pictures or sounds or [0])


def fitting_channels(modalities: Mapping[str, Modality]) -> int:
    """Width of the ConvNets by the size of the media: the papers' 128, for small media 32."""
    return 32 if side_of(modalities) <= 64 else 128


def _grid(modalities: Mapping[str, Modality], channels: int) -> tuple[int, int]:
    for modality in modalities.values():
        if modality.spatial and not isinstance(modality, Audio):
            c, h, w = modality.shape
            return ConvNet(c, h, w, picture_blocks(h, w), channels).output_grid
    large = any(modality.spatial and min(modality.shape[1:]) >= 56 for modality in modalities.values())
    return (7, 7) if large else (4, 4)
