"""One modality of ImageBind from item to embedding, and the whole of all six (docs/imagebind.md)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from limbeck.encoders.imagebind.config import ImageBindConfig, Part
from limbeck.encoders.imagebind.head import Head, TextHead, head_for, scale_for, unit
from limbeck.encoders.imagebind.stems import Stem, TextStem, stem_for
from limbeck.encoders.imagebind.trunk import Block, Trunk
from limbeck.errors import ShapeError

__all__ = ["ImageBind", "ImageBindPart", "module_of", "on_meta"]


class ImageBindPart(nn.Module):
    """The network of one modality. Its state dict is the published file's, as far as that is about the modality.

    Without ``draw`` nothing is random; there is no training mode.
    """

    def __init__(self, part: Part, embedding: int) -> None:
        super().__init__()
        self.part = part
        self.modality_preprocessors = nn.ModuleDict({part.kind: stem_for(part)})
        self.modality_trunks = nn.ModuleDict({part.kind: Trunk(part)})
        self.modality_heads = nn.ModuleDict({part.kind: head_for(part, embedding)})
        scale = {} if part.kind == "vision" else {part.kind: scale_for(part)}
        self.modality_postprocessors = nn.ModuleDict(scale)

    def forward(self, x: Tensor, draw: torch.Generator | None = None) -> Tensor:
        """(N, \\*input) -> (N, D) float32; a clip dimension behind the first is averaged after scaling [spec 3.7].

        Of vision (N, 3, H, W), clips (N, clips, 3, H, W), clips of frames (N, clips, 3, T, H, W); of text (N, L) ids,
        embedded at their largest, the end of the text. Gradients reach ``x`` and the weights.

        Args:
            draw: a CPU generator: drop-path and dropout, as in training.

        Raises:
            ShapeError: another shape.
        """
        flat, clips = self._flat(x)
        if self.part.kind == "text":
            tokens, place = cast(TextStem, self.stem)(flat), flat.argmax(-1)
            return self.embed_tokens(tokens, place)
        tokens = self.trunk(self.stem(flat.to(self.dtype)), draw)
        found = self._scaled(cast(Head, self.head)(tokens, draw))
        return found if clips is None else found.unflatten(0, (-1, clips)).mean(1)

    def embed_tokens(self, tokens: Tensor, place: Tensor) -> Tensor:
        """Of text: (N, L, d) token embeddings with their positions, ends of the texts (N,) -> (N, D) float32."""
        tokens = self.trunk(tokens.to(self.dtype))
        return self._scaled(cast(TextHead, self.head)(tokens, place))

    @property
    def stem(self) -> Stem | TextStem:
        return cast("Stem | TextStem", self.modality_preprocessors[self.part.kind])

    @property
    def trunk(self) -> Trunk:
        return cast(Trunk, self.modality_trunks[self.part.kind])

    @property
    def head(self) -> Head | TextHead:
        return cast("Head | TextHead", self.modality_heads[self.part.kind])

    @property
    def dtype(self) -> torch.dtype:
        """Of the trunk's weights: what it computes in."""
        return cast(Block, self.trunk.blocks[0]).norm_1.weight.dtype

    def _scaled(self, y: Tensor) -> Tensor:
        found = unit(y)
        if self.part.kind in self.modality_postprocessors:
            found = cast(Tensor, self.modality_postprocessors[self.part.kind](found))
        return found

    def _flat(self, x: Tensor) -> tuple[Tensor, int | None]:
        """Items without the clip dimension, and how many clips there were."""
        shape = self.part.input
        film = (shape[0], self.part.frames, *shape[1:])
        if tuple(x.shape[1:]) == shape:
            return x, None
        if tuple(x.shape[2:]) == shape and self.part.kind != "text":
            return x.flatten(0, 1), x.shape[1]
        if self.part.kind == "vision" and tuple(x.shape[2:]) == film:
            return x.flatten(0, 1), x.shape[1]
        raise ShapeError(
            f"ImageBind's {self.part.kind} takes (N, {', '.join(map(str, shape))}), not {tuple(x.shape)}",
            hint="Clips stand behind the first dimension; prepare the data with --for imagebind.",
        )


class ImageBind(nn.Module):
    """All modalities: the state dict of the published file, key by key."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.config = config
        for room in ("preprocessors", "trunks", "heads", "postprocessors"):
            setattr(self, f"modality_{room}", nn.ModuleDict())
        for part in config.parts:
            for name, child in ImageBindPart(part, config.embedding).named_children():
                for kind, layer in cast(nn.ModuleDict, child).items():
                    cast(nn.ModuleDict, getattr(self, name))[kind] = layer


@lru_cache(maxsize=32)
def on_meta(part: Part, embedding: int) -> ImageBindPart:
    """The network without weights of its own: what it computes with are those that each call brings."""
    with torch.device("meta"):
        return ImageBindPart(part, embedding).requires_grad_(False)


def module_of(part: Part, embedding: int, weights: Mapping[str, Tensor]) -> ImageBindPart:
    """The network standing on ``weights`` (its parameters by name), which it shares and does not change."""
    with torch.device("meta"):
        module = ImageBindPart(part, embedding)
    fixed = dict(module.named_buffers())
    module.load_state_dict({**fixed, **weights}, strict=True, assign=True)
    device = next(iter(weights.values())).device
    return module.requires_grad_(False).to(device)
