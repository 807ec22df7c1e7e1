"""The two towers of a real set by pairs, with what they start from (docs/image_text.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from limbeck.banks.contrastive import contrastive_copy
from limbeck.banks.patches import dictionary_for, patch_dictionary
from limbeck.encoders import Encoder, Kernels, Precision, ProjectionHead, Tower, TwoTower, Weights, encoders_for
from limbeck.encoders.classic import classic_encoders
from limbeck.encoders.files import read_weights
from limbeck.encoders.from_timm import LibraryTower, cached_weights, classifier
from limbeck.encoders.towers import TowerKind, tower_kind
from limbeck.errors import ConfigError
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.data.pairs import Pairs

__all__ = ["HEAD_WIDTH", "build_towers"]

HEAD_WIDTH = 256
"""D on a dictionary of patches, unless another is asked for [choice, by the validation split: docs/image_text.md]."""
DEFAULT_GRID = 16
"""D of two vectors' heads by the channels, as :func:`encoders_for` has it."""
COLOURS = 3
STARTS = ("auto", "none")
"""Words for where a tower starts; anything else is a file."""

Start = Mapping[str, Weights]
"""Pretrained weights by modality; empty for fresh ones."""


def build_towers(
    pairs: Pairs,
    *,
    tower: str,
    frozen: bool = False,
    width: int | None = None,
    pretrained: str = "auto",
    channels: int = 128,
    kernels: Kernels = "literal",
    precision: Precision = "fp32",
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> TwoTower:
    """Two towers of one width D on ``device``, in the order of the pairs' modalities.

    What is spatial gets the named tower, vectors get a :class:`ProjectionHead`. The dictionary of patches and the
    ConvNet's pretrained copy are made from ``pairs`` on first use and kept in the cache.

    Args:
        tower: one of :data:`limbeck.encoders.towers.TOWERS`.
        frozen: the tower stays as it is and a head on it is trained; "patches" always does.
        width: D where a head stands on each tower; by default what the tower gives, 256 on "patches".
        pretrained: "auto" is a trained tower: timm's published weights, from a cache or nowhere; the ConvNet's copy,
            see :mod:`limbeck.banks.contrastive`; the fitted dictionary. "none" is random weights: fresh ones in every
            network, or one draw for all where the tower is frozen. Else a file of a tower's weights; where both
            modalities are spatial, their names stand before those of the weights: ``image/0.conv``.
        channels, kernels, precision: of ConvNets; precision of timm's towers too.

    Raises:
        ConfigError: settings that do not fit each other or the data, or a file that is not there.
        MissingDependencyError: timm or weights are missing; says what to put where.
        FormatError: a file holds other weights than the tower's. NumericsError: weights that are not finite.
    """
    kind = tower_kind(tower)
    spatial = [name for name, modality in pairs.modalities.items() if modality.spatial]
    learns = kind.learns and not frozen
    if width is not None and learns and spatial:
        raise ConfigError(
            f"the output of {tower} is the embedding, of its own width",
            where="width",
            hint="Leave --width out, or keep the tower --frozen and train a head of that width on it.",
        )
    bodies = _bodies(pairs, kind, spatial, channels, kernels, precision)
    own = next((body.embedding for body in bodies.values()), DEFAULT_GRID * channels)
    d = width or (own if kind.learns else HEAD_WIDTH)
    if pretrained not in STARTS:
        start = _from_file(Path(pretrained), kind, bodies)
    elif pretrained == "none" or not spatial:
        start = {}
    elif kind.name == "patches":
        start = {name: patch_dictionary(pairs, name, progress=progress) for name in spatial}
    elif kind.timm is not None:
        start = _from_file(cached_weights(tower), kind, bodies)
    else:
        fresh = _towers(pairs, kind, bodies, {}, own, learns=True)
        start = contrastive_copy(pairs, fresh, spatial, kernels, precision, device=device, progress=progress)
    return _towers(pairs, kind, bodies, start, d, learns=learns).to(device)


def _bodies(
    pairs: Pairs, kind: TowerKind, spatial: Sequence[str], channels: int, kernels: Kernels, precision: Precision
) -> dict[str, Encoder]:
    """The named tower for each spatial modality."""
    if kind.name == "convnet":
        encoders = encoders_for(pairs.modalities, channels=channels, kernels=kernels, precision=precision)
        return {name: encoders[name] for name in spatial}
    if kind.classic is not None and spatial:
        return dict(classic_encoders(kind.classic, {n: pairs.modalities[n] for n in spatial}, precision=precision))
    if kind.name == "patches" and spatial:
        return {name: dictionary_for(pairs, name) for name in spatial}
    first = pairs.modalities[pairs.first]
    if kind.timm is None or list(spatial) != [pairs.first] or first.shape[0] != COLOURS:
        kinds = " and ".join(f"{m.kind} of {' x '.join(str(n) for n in m.shape)}" for m in pairs.modalities.values())
        wanted = "colour pictures beside vectors" if kind.timm else "pictures"
        raise ConfigError(
            f"the tower {kind.name} is for {wanted}, here are {kinds}",
            where="tower",
            hint="The tower convnet takes all of them.",
        )
    return {pairs.first: LibraryTower(kind.name, first.shape[1], first.shape[2], precision)}


def _from_file(path: Path, kind: TowerKind, bodies: Mapping[str, Encoder]) -> Start:
    """Weights of the towers; of one tower by its own names, of two with the modality before each."""
    shapes = {name: body.shapes for name, body in bodies.items()}
    if len(bodies) == 1:
        (name,) = bodies
        dropped = classifier(kind.name) if kind.timm and not kind.options.get("num_classes", 1) else None
        return {name: read_weights(path, shapes[name], ignored=dropped)}
    found = read_weights(path, {f"{n}/{k}": shape for n, own in shapes.items() for k, shape in own.items()})
    return {n: {k: found[f"{n}/{k}"] for k in own} for n, own in shapes.items()}


def _towers(
    pairs: Pairs, kind: TowerKind, bodies: Mapping[str, Encoder], start: Start, width: int, *, learns: bool
) -> TwoTower:
    """Towers of ``width``: heads on vectors, and on what does not learn."""
    built = {}
    for name, modality in pairs.modalities.items():
        body, weights = bodies.get(name), start.get(name)
        if body is None:
            built[name] = Tower("head", ProjectionHead(math.prod(modality.shape), width))
        elif learns:
            built[name] = Tower(kind.name, body, start=weights)
        else:
            constants = body.init(stream(0, "tower", name)) if weights is None else weights
            built[name] = Tower(kind.name, ProjectionHead(body.embedding, width), frozen=body, constants=constants)
    return TwoTower(built)
