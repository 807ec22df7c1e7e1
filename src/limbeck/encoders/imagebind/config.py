"""Sizes of ImageBind, modality by modality: the published model, and two of ours that a CPU can train."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from limbeck.errors import ConfigError, ShapeError, nearest

__all__ = ["BASE", "CONFIGS", "HUGE", "LICENCE", "PARTS", "TINY", "ImageBindConfig", "Part", "imagebind_config"]

PARTS = ("vision", "text", "audio", "depth", "thermal", "imu")
"""What ImageBind reads."""
LICENCE = "CC-BY-NC 4.0 (its README) or CC-BY-NC-SA 4.0 (its licence file): not for commercial use"
"""Of the published weights; this implementation of the architecture is the package's own."""
SMALLEST_PATCH = 8


@dataclass(frozen=True)
class Part:
    """What one modality goes through: a stem that makes tokens, a trunk of transformer blocks, a head, a scale.

    Args:
        kind: one of :data:`PARTS`.
        input: shape of one item: (channels, height, width), of text (tokens,), of IMU (channels, samples).
        width, blocks, heads, hidden: of the trunk; ``hidden`` of its perceptrons.
        patch: side of what a token reads: pixels, of IMU samples; of text nothing.
        stride: from one token to the next.
        frames: pictures in time that a token reads; a still is repeated.
        vocabulary: of text.
        pre_norm: a norm before the first block.
        bias_kv: attention has one more, learnt, key and value.
        drop_path: chance that the last block is left out while training, rising linearly from 0 at the first.
        dropout: before the last linear layer, while training.
        scale: length of an embedding.
        learnt_scale: ``scale`` is what it begins with, at most 100.
    """

    kind: str
    input: tuple[int, ...]
    width: int
    blocks: int
    heads: int
    hidden: int
    patch: int = 0
    stride: int = 0
    frames: int = 1
    vocabulary: int = 0
    pre_norm: bool = False
    bias_kv: bool = False
    drop_path: float = 0.0
    dropout: float = 0.0
    scale: float = 1.0
    learnt_scale: bool = False

    def __post_init__(self) -> None:
        dimensions = {"text": 1, "imu": 2}.get(self.kind, 3)
        if self.kind not in PARTS:
            raise ConfigError(f"ImageBind reads no {self.kind!r}", hint=nearest(self.kind, PARTS))
        if len(self.input) != dimensions or min(self.input) < 1:
            raise ShapeError(f"the {self.kind} input {self.input} has not {dimensions} dimensions", where="ImageBind")
        if min(self.width, self.blocks, self.heads, self.hidden) < 1 or self.width % self.heads:
            raise ConfigError(f"{self.blocks} blocks of {self.width} features in {self.heads} heads", where=self.kind)
        if self.kind != "text" and (min(self.patch, self.stride) < 1 or min(self.grid) < 1):
            raise ShapeError(f"a patch of {self.patch} does not fit items of {self.input}", where=self.kind)

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Tokens down and across, or along time, the class token left out."""
        if self.kind == "text":
            return self.input
        return tuple((side - self.patch) // self.stride + 1 for side in self.input[1:])

    @property
    def tokens(self) -> int:
        """Of an item, with the class token; text has none."""
        return math.prod(self.grid) + (self.kind != "text")


@dataclass(frozen=True)
class ImageBindConfig:
    """The whole model.

    Args:
        name: what users say.
        embedding: D, the one width of all embeddings.
        parts: by modality.
        tokens: where a number, items of other sizes are read as they are, by patches of 8, 16, 32 ... pixels, the
            smallest that make no more than these tokens [choice]; None takes the published sizes only.
    """

    name: str
    embedding: int
    parts: tuple[Part, ...]
    tokens: int | None = None

    def part(self, kind: str) -> Part:
        """Raises ConfigError where it has none."""
        for part in self.parts:
            if part.kind == kind:
                return part
        raise ConfigError(
            f"imagebind-{self.name} reads no {kind!r}", hint=nearest(kind, [part.kind for part in self.parts])
        )

    def fitted(self, kind: str, size: tuple[int, int]) -> Part:
        """The part for pictures or spectrograms of ``size`` (height, width).

        A model that takes the published sizes only has one part. Others read ``size`` rounded up to whole patches.
        """
        part = self.part(kind)
        if self.tokens is None or part.input[1:] == size:
            return part
        patch = SMALLEST_PATCH
        while math.prod(-(-side // patch) for side in size) > self.tokens:
            patch *= 2
        whole = tuple(-(-side // patch) * patch for side in size)
        return replace(part, input=(part.input[0], *whole), patch=patch, stride=patch)


def imagebind_config(name: str) -> ImageBindConfig:
    """Of huge, base or tiny; or as users say it: imagebind, imagebind-base, imagebind-tiny.

    Raises ConfigError with the nearest known name.
    """
    size = name.removeprefix("imagebind").removeprefix("-") or HUGE.name
    if size not in CONFIGS:
        raise ConfigError(f"unknown size {size!r} of ImageBind", hint=nearest(size, CONFIGS))
    return CONFIGS[size]


SCALES = {"vision": 1.0, "text": 1 / 0.07, "audio": 20.0, "depth": 5.0, "thermal": 10.0, "imu": 5.0}
"""[spec 3.7]; what the learnt one of text begins with is [choice]: CLIP's."""
INPUTS: dict[str, tuple[int, ...]] = {
    "vision": (3, 224, 224),
    "text": (77,),
    "audio": (1, 128, 204),
    "depth": (1, 224, 224),
    "thermal": (1, 224, 224),
    "imu": (6, 2000),
}
STEMS: dict[str, dict[str, int]] = {
    "vision": {"patch": 14, "stride": 14, "frames": 2},
    "text": {"vocabulary": 49_408},
    "audio": {"patch": 16, "stride": 10},
    "depth": {"patch": 16, "stride": 16},
    "thermal": {"patch": 16, "stride": 16},
    "imu": {"patch": 8, "stride": 8},
}
DROP_PATH = {"audio": 0.1, "imu": 0.7}


def _parts(**trunks: tuple[int, int, int, int]) -> tuple[Part, ...]:
    """Each modality's stem, flags and scale are the published ones; its trunk is (width, blocks, heads, hidden)."""
    return tuple(
        Part(
            kind,
            INPUTS[kind],
            *trunk,
            **STEMS[kind],
            pre_norm=kind == "vision",
            bias_kv=kind not in ("vision", "text"),
            drop_path=DROP_PATH.get(kind, 0.0),
            dropout=0.5 if kind == "imu" else 0.0,
            scale=SCALES[kind],
            learnt_scale=kind == "text",
        )
        for kind, trunk in trunks.items()
    )


HUGE = ImageBindConfig(
    "huge",
    1024,
    _parts(
        vision=(1280, 32, 16, 5120),
        text=(1024, 24, 16, 4096),
        audio=(768, 12, 12, 3072),
        depth=(384, 12, 8, 1536),
        thermal=(768, 12, 12, 3072),
        imu=(512, 6, 8, 2048),
    ),
)
"""imagebind_huge [spec 3.7]: 1,200.8 M parameters."""
BASE = ImageBindConfig("base", 512, _parts(**dict.fromkeys(PARTS, (256, 6, 4, 1024))), tokens=256)
"""[choice] Trains on a CPU at tens of milliseconds an item."""
TINY = ImageBindConfig("tiny", 128, _parts(**dict.fromkeys(PARTS, (64, 2, 2, 256))), tokens=128)
"""[choice] For tests and for two cores."""
CONFIGS = {config.name: config for config in (HUGE, BASE, TINY)}
