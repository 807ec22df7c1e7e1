"""Text that can be distilled: token embeddings (docs/imagebind.md), and real captions through the same trunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.convnet import Precision
from limbeck.encoders.imagebind.adaptors import fingerprint
from limbeck.encoders.imagebind.config import ImageBindConfig, Part
from limbeck.encoders.imagebind.fresh import draw_weights
from limbeck.encoders.imagebind.inputs import token_parts
from limbeck.encoders.imagebind.model import ImageBindPart, on_meta
from limbeck.encoders.imagebind.stems import TextStem
from limbeck.encoders.imagebind.weights import load_part
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Modality, Text

__all__ = ["TOKENS", "TokenText", "text_features", "token_values"]

TOKENS = "imagebind-tokens"
"""What the embedding of a text modality begins with whose items are :func:`token_values`."""
TABLE = "modality_preprocessors.text.token_embedding.weight"
POSITIONS = "modality_preprocessors.text.pos_embed"
UNUSED = (TABLE, POSITIONS)
"""Weights that an item of tokens has gone through already."""


@dataclass(frozen=True)
class TokenText(Encoder):
    """(N, L * W + 1) -> (N, D): L token embeddings with their positions, flattened, and where the text ends, a number
    from 0 to L - 1 that is rounded and has no slope.

    Args:
        modality: what the items are normalised by; None where they are not.

    Raises:
        ConfigError: items of another width.
    """

    config: ImageBindConfig
    modality: Modality | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if self.modality is not None and self.modality.shape != self.input_shape:
            raise ConfigError(
                f"token text of imagebind-{self.config.name} has {self.input_shape[0]} numbers, "
                f"not {self.modality.shape[0]}",
                where=self.modality.name,
            )

    @staticmethod
    def reads(modality: Modality) -> bool:
        """Whether a modality is token text, by its embedding's name."""
        return isinstance(modality, Text) and modality.embedding.startswith(TOKENS)

    @property
    def part(self) -> Part:
        """The network."""
        return self.config.part("text")

    @property
    def embedding(self) -> int:
        return self.config.embedding

    @cached_property
    def id(self) -> str:
        return f"imagebind-{self.config.name}-tokens-{fingerprint(self.part, self.embedding, self.modality)}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.part.input[0] * self.part.width + 1,)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        found = on_meta(self.part, self.embedding).named_parameters()
        return {name: tuple(w.shape) for name, w in found if name not in UNUSED}

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        drawn = draw_weights(self.part, self.embedding, generator)
        return {name: w.to(device) for name, w in drawn.items() if name not in UNUSED}

    def load(self, path: Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Weights:
        """From a file; see :func:`limbeck.encoders.imagebind.weights.load_part`."""
        found = load_part(path, self.part, self.embedding, dtype=dtype, device=device)
        return {name: w for name, w in found.items() if name not in UNUSED}

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        physical = x if self.modality is None else self.modality.denormalise(x)
        module = _FromTokens(on_meta(self.part, self.embedding))
        inside = {f"text.{name}": w for name, w in weights.items()}
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return cast(Tensor, functional_call(module, inside, token_parts(physical, self.part.input[0])))


class _FromTokens(torch.nn.Module):
    """The text network, entered behind its stem."""

    def __init__(self, text: ImageBindPart) -> None:
        super().__init__()
        self.text = text

    def forward(self, tokens: Tensor, place: Tensor) -> Tensor:
        return self.text.embed_tokens(tokens, place)


@torch.no_grad()
def text_features(module: ImageBindPart, ids: Tensor) -> Tensor:
    """Captions as (N, L) ids of CLIP's tokenizer, zeros behind the end -> (N, D) float32, of the text's own length.

    Raises ShapeError unless they are (N, L) whole numbers of the vocabulary.
    """
    return cast(Tensor, module(_checked(module, ids)))


@torch.no_grad()
def token_values(module: ImageBindPart, ids: Tensor) -> Tensor:
    """Captions as items of :class:`TokenText`: (N, L) ids -> (N, L * W + 1) float32. Raises as text_features."""
    tokens = cast(TextStem, module.stem)(_checked(module, ids)).float().flatten(1)
    return torch.cat([tokens, ids.argmax(-1, keepdim=True).to(tokens)], 1)


def _checked(module: ImageBindPart, ids: Tensor) -> Tensor:
    part = module.part
    if part.kind != "text":
        raise ConfigError(f"captions go through the text part of ImageBind, not {part.kind}")
    if ids.dim() != 2 or ids.shape[1:] != part.input or ids.is_floating_point():
        raise ShapeError(f"captions are (N, {part.input[0]}) ids, not {tuple(ids.shape)} of {ids.dtype}")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < part.vocabulary:
        raise ShapeError(f"ids are 0 to {part.vocabulary - 1}, not {int(ids.min())} to {int(ids.max())}")
    return ids
