"""Captions through ImageBind's text tower, which reads CLIP's tokens (docs/imagebind.md)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from limbeck.data import cache_root
from limbeck.data.arrays import digest
from limbeck.data.clip_tokens import ClipTokens, clip_tokens
from limbeck.errors import FormatError

if TYPE_CHECKING:
    import torch

    from limbeck.encoders.imagebind import ImageBindConfig, ImageBindPart

__all__ = ["ImageBindText", "ImageBindTokens"]

Array = np.ndarray[Any, Any]

CHUNK = 16
"""Captions read at once: all are 77 tokens long."""


class ImageBindText:
    """ImageBind's text: embeddings of the text's own length, the learnt scale.

    The published weights are CC-BY-NC 4.0 or CC-BY-NC-SA 4.0: not for commercial use.

    Args:
        weights: a file; None: the published one, where it is found.
        config: what it holds; None: the published size, 1024 numbers.

    Raises:
        MissingDependencyError: the weights or CLIP's merges are not on this machine; says what to put where.
        FormatError: the merges are not those that the weights were trained with.
    """

    kind: ClassVar[str] = "imagebind"

    def __init__(self, weights: Path | None = None, config: ImageBindConfig | None = None) -> None:
        from limbeck.encoders.imagebind import HUGE, needed_weights

        self.weights = weights or needed_weights([cache_root() / "weights"])
        self.config = config or HUGE
        self.width = self.config.embedding
        self.tokens: ClipTokens = clip_tokens()
        known = self.config.part("text").vocabulary
        if self.tokens.size != known:
            what = f"makes {self.tokens.size} tokens, and ImageBind reads {known}"
            raise FormatError(what, where=self.tokens.path)

    @cached_property
    def id(self) -> str:
        """The model, its tokens, and a hash of the weights (of 256 places)."""
        return f"{self.kind}-{self.config.name}-{self.tokens.id}-{digest(self.weights, 0, sampled=True)[:16]}"

    @cached_property
    def _module(self) -> ImageBindPart:
        from limbeck.encoders.imagebind import load_modality, module_of

        weights = load_modality(self.weights, self.config, "text")
        return module_of(self.config.part("text"), self.config.embedding, weights)

    def encode(self, texts: Sequence[str], device: str | torch.device = "cpu") -> Array:
        import torch

        module = self._module.to(device)
        ids = torch.from_numpy(self.tokens.encode(texts, self.config.part("text").input[0]))
        parts = [self._of(module, chunk.to(device)).float().cpu().numpy() for chunk in ids.split(CHUNK)]
        return np.concatenate(parts)

    @staticmethod
    def _of(module: ImageBindPart, ids: torch.Tensor) -> torch.Tensor:
        from limbeck.encoders.imagebind import text_features

        return text_features(module, ids)


class ImageBindTokens(ImageBindText):
    """Captions as what goes into ImageBind's text trunk: 77 token embeddings with their positions, and where the text
    ends. A run that looks through ImageBind learns these numbers; every other encoder sees a long vector."""

    kind = "imagebind-tokens"

    def __init__(self, weights: Path | None = None, config: ImageBindConfig | None = None) -> None:
        super().__init__(weights, config)
        part = self.config.part("text")
        self.width = part.input[0] * part.width + 1

    @staticmethod
    def _of(module: ImageBindPart, ids: torch.Tensor) -> torch.Tensor:
        from limbeck.encoders.imagebind import token_values

        return token_values(module, ids)
