"""ImageBind as the encoder of a store's modalities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.convnet import Precision
from limbeck.encoders.identity import Identity
from limbeck.encoders.imagebind.config import ImageBindConfig, Part, imagebind_config
from limbeck.encoders.imagebind.fresh import draw_weights
from limbeck.encoders.imagebind.inputs import depth_input, picture_input, sound_input
from limbeck.encoders.imagebind.model import on_meta
from limbeck.encoders.imagebind.weights import load_part
from limbeck.encoders.linear import Linear
from limbeck.errors import ConfigError
from limbeck.modalities import Audio, Depth, Image, Modality, Text

__all__ = ["KALDI", "ImageBindEncoder", "fingerprint", "imagebind_encoders", "kind_of"]

KALDI = "kaldi"
"""Scale of the spectrograms that the published model reads."""
READS: dict[type[Modality], str] = {Image: "vision", Audio: "audio", Depth: "depth"}


@dataclass(frozen=True)
class ImageBindEncoder(Encoder):
    """One modality: normalised items of a store -> (N, D) of the modality's own length (of vision 1).

    Pictures are resized to the model's size and cut at the centre, grey ones repeated; depth becomes disparity; each
    channel of a sound is one clip, and clips are averaged. In evaluation mode but for :meth:`embed_training`.

    Args:
        kind: one of the config's, but text.
        modality: what the items are; None where they are the network's own input.
        precision: "bf16" computes in bfloat16 where torch's autocast does; half weights compute in their own precision.

    Raises:
        ConfigError: the modality is no ``kind``, or sound that the published model does not read; says how to prepare.
    """

    config: ImageBindConfig
    kind: str
    modality: Modality | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if self.kind == "text":
            raise ConfigError("ImageBind's text has an encoder of its own", where="imagebind", hint="Use TokenText.")
        if self.modality is not None and kind_of(self.modality) != self.kind:
            raise ConfigError(
                f"ImageBind's {self.kind} does not read {self.modality.kind} items", where=self.modality.name
            )
        published = self.config.tokens is None
        if isinstance(self.modality, Audio) and published and not self._reads_sound(self.modality):
            raise ConfigError(
                f"ImageBind does not read {self.modality.scale} spectrograms of {self.modality.shape}",
                where=self.modality.name,
                hint="Prepare the sound with --for imagebind (--mel kaldi: clips of 128 bands, 204 frames, at 16 kHz).",
            )

    def _reads_sound(self, sound: Audio) -> bool:
        return sound.scale == KALDI and sound.shape[1:] == self.config.part("audio").input[1:]

    @cached_property
    def part(self) -> Part:
        """The network, at the size that the items have."""
        if self.modality is None:
            return self.config.part(self.kind)
        return self.config.fitted(self.kind, (self.modality.shape[1], self.modality.shape[2]))

    @property
    def embedding(self) -> int:
        return self.config.embedding

    @cached_property
    def id(self) -> str:
        return f"imagebind-{self.config.name}-{self.kind}-{fingerprint(self.part, self.embedding, self.modality)}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.part.input if self.modality is None else self.modality.shape

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(w.shape) for name, w in on_meta(self.part, self.embedding).named_parameters()}

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        """As :func:`limbeck.encoders.imagebind.fresh.draw_weights` draws them."""
        return {name: w.to(device) for name, w in draw_weights(self.part, self.embedding, generator).items()}

    def load(self, path: Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Weights:
        """From a file; see :func:`limbeck.encoders.imagebind.weights.load_part`."""
        return load_part(path, self.part, self.embedding, dtype=dtype, device=device)

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return self._embedded(weights, x, None)

    def embed_training(self, weights: Mapping[str, Tensor], x: Tensor, draw: torch.Generator) -> Tensor:
        """:meth:`embed` with drop-path (sound, IMU) and dropout (IMU)."""
        return self._embedded(weights, x, draw)

    def adapt(self, x: Tensor) -> Tensor:
        """Items as the network reads them: (N, \\*part.input), of sound (N, clips, \\*part.input)."""
        if self.modality is None:
            return x
        physical, size = self.modality.denormalise(x), cast(tuple[int, int], self.part.input[1:])
        if isinstance(self.modality, Audio):
            return sound_input(physical, size, decibel=self.modality.scale != KALDI)
        return (depth_input if isinstance(self.modality, Depth) else picture_input)(physical, size)

    def _embedded(self, weights: Mapping[str, Tensor], x: Tensor, draw: torch.Generator | None) -> Tensor:
        self.check(x)
        module, inputs = on_meta(self.part, self.embedding), self.adapt(x)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return cast(Tensor, functional_call(module, dict(weights), (inputs, draw)))


def imagebind_encoders(
    modalities: Mapping[str, Modality], config: ImageBindConfig | str, precision: Precision = "fp32"
) -> dict[str, Encoder]:
    """An encoder a modality, all of the config's width: ImageBind's for pictures, sound, depth and token text, text
    that is its embedding already as it is, one linear layer for other vectors.

    Args:
        config: of the model, or its name.

    Raises ConfigError for an unknown name, or sound that the published model does not read.
    """
    from limbeck.encoders.imagebind.tokens import TokenText

    config = imagebind_config(config) if isinstance(config, str) else config
    found: dict[str, Encoder] = {}
    for name, modality in modalities.items():
        kind = kind_of(modality)
        if kind is not None:
            found[name] = ImageBindEncoder(config, kind, modality, precision)
        elif TokenText.reads(modality):
            found[name] = TokenText(config, modality, precision)
        else:
            found[name] = _of_vectors(modality, config.embedding)
    return found


def _of_vectors(modality: Modality, width: int) -> Encoder:
    own = isinstance(modality, Text) and modality.embedding == "imagebind" and modality.shape == (width,)
    return Identity(width) if own else Linear(modality.shape[0], width)


def kind_of(modality: Modality) -> str | None:
    """Which part of ImageBind reads it; None of vectors."""
    return next((kind for read, kind in READS.items() if isinstance(modality, read)), None)


def fingerprint(part: Part, embedding: int, modality: Modality | None) -> str:
    """Eight characters that stand for the network and for how items become its input; the name is not part."""
    about = modality.to_dict() if modality is not None else {}
    about.pop("name", None)
    text = json.dumps(["v1", asdict(part), embedding, about], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
