"""What stands still while a set is distilled: one encoder a modality, with its weights (docs/imagebind.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.banks.aligned import aligned_maps, one_an_item
from limbeck.banks.patches import dictionary_for, patch_dictionary
from limbeck.data.pairs import Pairs
from limbeck.encoders import Encoder, Precision, Weights
from limbeck.encoders.files import read_weights
from limbeck.encoders.frozen import FrozenKind, check_reads, frozen_kind
from limbeck.encoders.identity import Identity
from limbeck.encoders.projected import Projected, joined
from limbeck.errors import ConfigError
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.modalities import Modality

__all__ = ["ALIGNED_WIDTH", "Frozen", "frozen_encoders", "require_common_width"]

ALIGNED_WIDTH = 256
"""D of "aligned", unless another is asked for [choice]."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """Encoders that stand still, by modality.

    Args:
        name: as the user says it.
        weights: on the device, without gradient.
        id: of names, encoders, weights and precision: what caches are keyed by.
    """

    name: str
    encoders: dict[str, Encoder]
    weights: dict[str, Weights]
    id: str

    def embed(self, modality: str, x: Tensor) -> Tensor:
        """(N, \\*shape) normalised -> (N, D), differentiable in x. Raises ShapeError where items have another shape."""
        return self.encoders[modality].embed(self.weights[modality], x)

    @property
    def widths(self) -> dict[str, int]:
        """By modality D."""
        return {name: encoder.embedding for name, encoder in self.encoders.items()}


def require_common_width(frozen: Frozen) -> int:
    """D, where terms between modalities need one. Raises ConfigError where modalities have several."""
    widths = frozen.widths
    if len(set(widths.values())) != 1:
        told = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ConfigError(
            f"terms between modalities need embeddings of one width; {frozen.name} gives {told}",
            where="--encoder",
            hint="Use the encoder aligned or imagebind, or leave those terms out (weights of 0).",
        )
    return next(iter(widths.values()))


def frozen_encoders(
    source: PairedStore | Pairs,
    modalities: Mapping[str, Modality],
    name: str,
    *,
    pretrained: str = "auto",
    width: int | None = None,
    precision: Precision = "fp32",
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> Frozen:
    """The encoders called ``name`` for ``modalities``, with their weights on ``device``.

    Args:
        source: the real set; encoders that are fitted learn from its training items (of a store with classes: the
            labelled ones) or pairs, once, and are kept in the cache.
        name: one of :data:`limbeck.encoders.frozen.FROZEN`, or package.module:function.
        pretrained: "auto" is fitted or published weights where they are found; "none" one random draw, always the
            same; else a file of weights or, for "clip" and "clap", a model's folder.
        width: D of "aligned".
        precision: of transformers' networks and ImageBind.

    Raises:
        ConfigError: an unknown encoder, a modality it does not read, or settings that do not fit each other.
        MissingDependencyError: a package or weights are missing; says what to put where.
        FormatError: a file holds other weights. NumericsError: weights that are not finite, or a diverging training.
    """
    asked = _Asked(
        source, modalities, frozen_kind(name), pretrained, width or ALIGNED_WIDTH, precision, device, progress
    )
    check_reads(asked.kind, modalities)
    if width is not None and name != "aligned":
        raise ConfigError(f"the encoder {name} has a width of its own", where="width", hint="Leave --width out.")
    if width is not None and width < 1:
        raise ConfigError(f"a space of {width} numbers", where="width")
    build = _aligned if name == "aligned" else _patches if name == "patches" else _others
    encoders, weights = build(asked)
    still = {n: {k: w.detach().to(device) for k, w in weights[n].items()} for n in modalities}
    return Frozen(name, {n: encoders[n] for n in modalities}, still, _id(name, encoders, still, precision))


@dataclass(frozen=True, eq=False)
class _Asked:
    """What :func:`frozen_encoders` was asked."""

    source: PairedStore | Pairs
    modalities: Mapping[str, Modality]
    kind: FrozenKind
    pretrained: str
    width: int
    precision: Precision
    device: str | torch.device
    progress: bool

    def column(self, name: str) -> Pairs:
        """One modality of the training items."""
        if isinstance(self.source, Pairs) and name in self.source.modalities:
            return self.source
        store = self.source.store if isinstance(self.source, Pairs) else self.source
        return one_an_item(store, "train", {name: self.modalities[name]})


Built = tuple[dict[str, Encoder], dict[str, Weights]]
"""Encoders and weights by modality."""


def _patches(asked: _Asked) -> Built:
    """A dictionary for each spatial modality."""
    columns = {n: asked.column(n) for n, m in asked.modalities.items() if m.spatial}
    encoders: dict[str, Encoder] = {
        n: dictionary_for(columns[n], n) if m.spatial else Identity(m.shape[0]) for n, m in asked.modalities.items()
    }
    if asked.pretrained != "auto":
        return encoders, _told(asked, encoders)
    fitted = {n: patch_dictionary(column, n, progress=asked.progress) for n, column in columns.items()}
    return encoders, {n: fitted.get(n, {}) for n in encoders}


def _aligned(asked: _Asked) -> Built:
    """Patches or vectors, each with a map into one space."""
    if len(asked.modalities) != 2:
        raise ConfigError(
            f"the encoder aligned brings two modalities together; here are {', '.join(asked.modalities)}",
            where="--encoder",
            hint="Name two by --modalities.",
        )
    fitted = asked.pretrained == "auto"
    bodies, fixed = _patches(asked if fitted else replace(asked, pretrained="none"))
    encoders: dict[str, Encoder] = {n: Projected(body, asked.width) for n, body in bodies.items()}
    if not fitted:
        return encoders, _told(asked, encoders)
    pairs = asked.source if isinstance(asked.source, Pairs) else one_an_item(asked.source, "train", asked.modalities)
    maps = aligned_maps(pairs, bodies, fixed, asked.width, device=asked.device, progress=asked.progress)
    return encoders, {n: joined(fixed[n], maps[n]) for n in bodies}


def _others(asked: _Asked) -> Built:
    """What learns nothing from the set: each imported only where it is asked for."""
    own = {n: m for n, m in asked.modalities.items() if m.spatial or asked.kind.imagebind}
    encoders: dict[str, Encoder] = {n: Identity(m.shape[0]) for n, m in asked.modalities.items() if n not in own}
    weights: dict[str, Weights] = {n: {} for n in encoders}
    if own:
        found = (_users if ":" in asked.kind.name else _published)(asked, own)
        encoders, weights = encoders | found[0], weights | found[1]
    return encoders, weights


def _users(asked: _Asked, modalities: Mapping[str, Modality]) -> Built:
    from limbeck.encoders.callable import user_encoder

    if asked.pretrained != "auto":
        raise ConfigError("an encoder of your own brings its weights itself", where="pretrained")
    encoders: dict[str, Encoder] = {n: user_encoder(asked.kind.name, m) for n, m in modalities.items()}
    return encoders, {n: e.init(stream(0, "frozen", n)) for n, e in encoders.items()}


def _published(asked: _Asked, modalities: Mapping[str, Modality]) -> Built:
    from limbeck.banks.published import published

    return published(asked.kind, modalities, asked.pretrained, asked.precision)


def _told(asked: _Asked, encoders: Mapping[str, Encoder]) -> dict[str, Weights]:
    """One random draw, or a file in which the modality stands before each name: ``image/filters``."""
    if asked.pretrained == "none":
        return {n: e.init(stream(0, "frozen", n)) for n, e in encoders.items()}
    shapes = {f"{n}/{k}": shape for n, e in encoders.items() for k, shape in e.shapes.items()}
    if not shapes:
        raise ConfigError(f"{asked.kind.name} has no weights here", where="pretrained", hint="Leave it out.")
    found = read_weights(Path(asked.pretrained), shapes)
    return {n: {k: found[f"{n}/{k}"] for k in e.shapes} for n, e in encoders.items()}


def _id(name: str, encoders: Mapping[str, Encoder], weights: Mapping[str, Weights], precision: str) -> str:
    found = hashlib.sha256(f"{name} {precision}\n".encode())
    for modality in sorted(weights):
        found.update(f"{modality} {encoders[modality].id}\n".encode())
        for key in sorted(weights[modality]):
            values = weights[modality][key].cpu().contiguous()
            found.update(f"{key} {values.dtype} {tuple(values.shape)}\n".encode())
            found.update(values.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()[:32]
