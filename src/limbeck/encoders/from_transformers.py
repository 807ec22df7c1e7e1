"""Towers of transformers' two-tower models as functions of weights: CLIP's for pictures, CLAP's for sound.

A model is read from a folder and never downloaded. transformers is imported only when such a tower is made. What the
model's own preprocessing does is part of the tower, so that it is differentiable down to the normalised item.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.convnet import Precision
from limbeck.errors import ConfigError, FormatError, MissingDependencyError, NumericsError
from limbeck.files import canonical, digest_of, read_json
from limbeck.modalities import Modality

__all__ = ["ClipPictures", "LibraryModel", "default_config", "read_tower"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP reads, as published."""
PARTS = {"clip": ("vision_model", "visual_projection"), "clap": ("audio_model", "audio_projection")}
"""By type of model, what its tower for media is made of."""


@dataclass(frozen=True)
class LibraryModel(Encoder):
    """(N, \\*shape) normalised -> (N, D), in evaluation mode.

    Weights are the tower's parameters and buffers, by the model's own names.

    Args:
        config: of the whole model, as JSON.
        modality: what is read; its constants undo the normalisation.
        precision: "bf16" computes in bfloat16 where torch's autocast does.

    Raises:
        ConfigError: a modality that the tower cannot read. MissingDependencyError: transformers is missing.
    """

    config: str
    modality: Modality
    precision: Precision = "fp32"
    kind: ClassVar[str]

    @property
    def embedding(self) -> int:
        return int(self.settings["projection_dim"])

    @property
    def id(self) -> str:
        return f"{self.kind}-{digest_of([self.config, self.modality.to_dict()])[:16]}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.modality.shape

    @cached_property
    def settings(self) -> dict[str, Any]:
        """:attr:`config`, read."""
        found: dict[str, Any] = json.loads(self.config)
        return found

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(w.shape) for name, w in _state(_bare(self.kind, self.config)).items()}

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        """As transformers draws them."""
        with torch.random.fork_rng(devices=[]):  # transformers draws from the global generator: one for the while
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            made = _tower(self.kind, _empty(self.kind, self.settings))
        return {name: w.detach().to(device) for name, w in _state(made).items()}

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        read = self.preprocessed(self.modality.denormalise(x))
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            y: Tensor = functional_call(_bare(self.kind, self.config), dict(weights), (read,), strict=True)
        return y.float()

    @abstractmethod
    def preprocessed(self, physical: Tensor) -> Tensor:
        """(N, \\*shape) in the modality's own unit -> what the model reads, differentiable."""


@dataclass(frozen=True)
class ClipPictures(LibraryModel):
    """Pictures: short side to the model's size (bicubic), centre crop, CLIP's constants; what
    ``CLIPModel.get_image_features`` gives, whose length is not 1. Nothing is rounded to whole bytes on the way."""

    kind: ClassVar[str] = "clip"

    def preprocessed(self, physical: Tensor) -> Tensor:
        side = int(self.settings["vision_config"]["image_size"])
        x = physical.expand(-1, 3, -1, -1)
        height, width = x.shape[2:]
        if min(height, width) != side:
            size = [max(side, round(n * side / min(height, width))) for n in (height, width)]
            x = F.interpolate(x, size=size, mode="bicubic", antialias=True)
        top, left = ((n - side) // 2 for n in x.shape[2:])
        x = x[:, :, top : top + side, left : left + side]
        mean, std = (torch.tensor(c, device=x.device).view(3, 1, 1) for c in (CLIP_MEAN, CLIP_STD))
        return (x - mean) / std


def default_config(kind: str) -> str:
    """Of the model as transformers has it by default, as JSON."""
    return canonical(_classes(kind)[0]().to_dict())


def read_tower(kind: str, folder: Path) -> tuple[str, Weights]:
    """(config as JSON, weights of the tower) of a model's folder.

    Raises:
        MissingDependencyError: files or transformers are missing. ConfigError: another type of model.
        FormatError: damaged, or weights are lacking. NumericsError: weights that are not finite.
    """
    if not (folder / "config.json").is_file():
        raise MissingDependencyError(
            f"the folder of a {kind} model has no config.json",
            where=folder,
            hint="Put config.json and model.safetensors of the model there.",
        )
    found = read_json(folder / "config.json").get("model_type")
    if found != kind:
        raise ConfigError(f"a model of type {found!r}, not {kind!r}", where=folder)
    _, model_class = _classes(kind)
    try:
        with _quiet():
            model, info = model_class.from_pretrained(str(folder), local_files_only=True, output_loading_info=True)
    except Exception as error:  # safetensors, json and transformers each have kinds of their own
        raise FormatError(f"the model cannot be read: {error}", where=folder) from error
    lacking = sorted(n for n in info["missing_keys"] if n.startswith(PARTS[kind]))  # those are drawn, in silence
    if lacking:
        raise FormatError(f"the weights lack {len(lacking)} tensors, the first {lacking[0]}", where=folder)
    weights = {name: w.detach().clone() for name, w in _state(_tower(kind, model.float())).items()}
    for name, w in weights.items():
        if not bool(w.isfinite().all()):
            raise NumericsError(f"{name} has values that are not finite", where=folder)
    return canonical(model.config.to_dict()), weights


class _Tower(nn.Module):
    """One of a model's two towers, with what stands on it."""

    def __init__(self, body: nn.Module, projection: nn.Module, names: tuple[str, str], unit: bool) -> None:
        super().__init__()
        self.names, self.unit = names, unit
        self.add_module(names[0], body)
        self.add_module(names[1], projection)

    def forward(self, read: Tensor) -> Tensor:
        body, projection = (self.get_submodule(name) for name in self.names)
        y: Tensor = projection(body(read, return_dict=True).pooler_output)
        return F.normalize(y, dim=-1) if self.unit else y


def _tower(kind: str, model: nn.Module) -> nn.Module:
    names = PARTS[kind]
    body, projection = (model.get_submodule(name) for name in names)
    return _Tower(body, projection, names, unit=kind == "clap").eval().requires_grad_(False)  # as the library does


@lru_cache(maxsize=4)
def _bare(kind: str, config: str) -> nn.Module:
    """The tower without memory of its own."""
    with torch.device("meta"):
        return _tower(kind, _empty(kind, json.loads(config)))


def _empty(kind: str, settings: Mapping[str, Any]) -> nn.Module:
    config_class, model_class = _classes(kind)
    with _quiet():
        made: nn.Module = model_class(config_class.from_dict(dict(settings)))
    return made


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _classes(kind: str) -> tuple[Any, Any]:
    """(config, model) of transformers."""
    try:
        with _quiet():
            from transformers import ClapConfig, ClapModel, CLIPConfig, CLIPModel
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError(
            f"transformers cannot be imported ({error})", where=kind, hint="pip install 'limbeck[hf]'"
        ) from error
    return (CLIPConfig, CLIPModel) if kind == "clip" else (ClapConfig, ClapModel)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no remarks of transformers' own while a model is made."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
