"""Encoders with weights that others published: where these are found on this machine, and what to put where else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.data import cache_root
from limbeck.encoders import Encoder, Precision, Weights
from limbeck.encoders.identity import Identity
from limbeck.errors import ConfigError, MissingDependencyError
from limbeck.rng import stream

if TYPE_CHECKING:
    from limbeck.encoders.frozen import FrozenKind
    from limbeck.modalities import Modality

__all__ = ["HUB_MODELS", "model_folder", "published"]

HUB_MODELS = {"clip": "openai/clip-vit-base-patch32", "clap": "laion/clap-htsat-unfused"}
"""What "auto" means in the hub's cache, where somebody put them: nothing is ever downloaded."""

Built = tuple[dict[str, Encoder], dict[str, Weights]]


def published(kind: FrozenKind, modalities: Mapping[str, Modality], pretrained: str, precision: Precision) -> Built:
    """Encoders and weights of ``modalities``, those of transformers' models all spatial; weights on the CPU.

    Raises MissingDependencyError where a package or weights are missing, FormatError where they are others'.
    """
    if kind.name in HUB_MODELS:
        return _library(kind.name, modalities, pretrained, precision)
    return _imagebind(kind.name, modalities, pretrained, precision)


def model_folder(name: str, pretrained: str) -> Path:
    """The folder of a CLIP or CLAP: the user's, or the hub's cache's.

    Raises MissingDependencyError where there is none, ConfigError where ``pretrained`` is no folder.
    """
    if pretrained != "auto":
        if not Path(pretrained).is_dir():
            raise ConfigError("no such folder", where=pretrained, hint=f"Give the folder of a {name} model.")
        return Path(pretrained)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(HUB_MODELS[name], "config.json")
    if not isinstance(found, str):
        raise MissingDependencyError(
            "the weights are not on this machine",
            where=HUB_MODELS[name],
            hint="Put its config.json and model.safetensors into a folder and give that as --pretrained FOLDER, or "
            "fill the hub's cache (HF_HOME) where there is a connection.",
        )
    return Path(found).parent


def _library(name: str, modalities: Mapping[str, Modality], pretrained: str, precision: Precision) -> Built:
    from limbeck.encoders.clap import ClapSound
    from limbeck.encoders.from_transformers import ClipPictures, default_config, read_tower

    make = ClipPictures if name == "clip" else ClapSound
    if pretrained == "none":
        config = default_config(name)
        encoders: dict[str, Encoder] = {n: make(config, m, precision) for n, m in modalities.items()}
        return encoders, {n: e.init(stream(0, "frozen", n)) for n, e in encoders.items()}
    config, weights = read_tower(name, model_folder(name, pretrained))
    return {n: make(config, m, precision) for n, m in modalities.items()}, dict.fromkeys(modalities, weights)


def _imagebind(name: str, modalities: Mapping[str, Modality], pretrained: str, precision: Precision) -> Built:
    """Published weights where the model is the published one or a file is told; one random draw of the others.

    Vectors that are no embedding of it stay what they are under published weights, where no map of them is trained;
    under random ones a random map brings them to the model's width.
    """
    from limbeck.encoders.imagebind import ImageBindEncoder, TokenText, imagebind_config, imagebind_encoders
    from limbeck.encoders.imagebind.weights import needed_weights

    config = imagebind_config(name.partition("-")[2] or "huge")
    encoders = imagebind_encoders(modalities, config, precision)
    if pretrained == "none" or (pretrained == "auto" and config.name != "huge"):
        return encoders, {n: e.init(stream(0, "frozen", n)) for n, e in encoders.items()}
    weights: dict[str, Weights] = {}
    for n, modality in modalities.items():
        own = encoders[n]
        if isinstance(own, ImageBindEncoder | TokenText):
            path = needed_weights([cache_root() / "weights"]) if pretrained == "auto" else Path(pretrained)
            weights[n] = own.load(path)
        else:
            encoders[n], weights[n] = Identity(modality.shape[0]), {}
    return encoders, weights
