"""Networks of timm as functions of weights: the towers of the image-text papers.

timm is imported only when such a network is made. Its modules stand on no memory: what they compute with are the
weights that each call brings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from limbeck.encoders.base import Encoder, Weights
from limbeck.encoders.convnet import Precision
from limbeck.encoders.towers import TowerKind, tower_kind
from limbeck.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LibraryTower", "cached_weights", "classifier"]

INSTALL = "pip install 'limbeck[timm]', with a torchvision that belongs to the torch that is here."
SMALLEST = 32
"""Sides below it vanish in a network that halves them five times."""
TWICE = ("inplace", "fused_attn")
"""Switches of timm's modules that must be off for second derivatives."""
FILES = ("model.safetensors", "pytorch_model.bin")
"""What a folder of the hub calls weights."""


@dataclass(frozen=True)
class LibraryTower(Encoder):
    """(N, 3, ``height``, ``width``) -> (N, D), in evaluation mode, differentiable twice.

    Args:
        tower: one of :data:`limbeck.encoders.towers.TOWERS` that timm has.
        precision: "bf16" computes in bfloat16 where torch's autocast does; weights, pixels and embeddings stay float32.

    Raises:
        ConfigError: items the network does not take, or a network with buffers.
        MissingDependencyError: timm or torchvision is missing or does not import; says what to install.
    """

    tower: str
    height: int
    width: int
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if self.kind.timm is None:
            raise ConfigError(f"the tower {self.tower} is none of timm's", where="tower")
        if min(self.height, self.width) < SMALLEST:
            raise ConfigError(
                f"{self.tower} takes pictures of {SMALLEST} x {SMALLEST} and larger, not {self.height} x {self.width}",
                where="tower",
                hint="Prepare larger pictures, or use the tower patches or convnet.",
            )
        wanted = _settings(self.kind)
        if wanted.get("fixed_input_size") and tuple(wanted["input_size"][1:]) != (self.height, self.width):
            side = " x ".join(str(n) for n in wanted["input_size"][1:])
            raise ConfigError(
                f"{self.tower} takes pictures of {side}, not {self.height} x {self.width}",
                where="tower",
                hint="Prepare the pictures at that size, or use another tower.",
            )

    @property
    def kind(self) -> TowerKind:
        """What the name means."""
        return tower_kind(self.tower)

    @property
    def embedding(self) -> int:
        return self.kind.width or 0

    @property
    def id(self) -> str:
        return f"timm-{self.kind.timm}-{self.embedding}-3x{self.height}x{self.width}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (3, self.height, self.width)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(w.shape) for name, w in _module(self.tower).named_parameters()}

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:
        """As timm draws them."""
        with torch.random.fork_rng(devices=[]):  # timm draws from the global generator: it gets one for the while
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            made = _made(self.kind)
        return {name: w.detach().to(device, torch.float32) for name, w in made.named_parameters()}

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            y: Tensor = functional_call(_module(self.tower), dict(weights), (x,), strict=True)
        return y.float()


def cached_weights(tower: str) -> Path:
    """The file of a tower's pretrained weights that a cache on this machine has: the hub's, else torch's own.

    Raises MissingDependencyError where there is none, and says what to put where; nothing is downloaded.
    """
    from huggingface_hub import try_to_load_from_cache

    wanted = _settings(tower_kind(tower))
    hub = str(wanted.get("hf_hub_id") or "")
    for name in FILES if hub else ():
        found = try_to_load_from_cache(hub, name)
        if isinstance(found, str):
            return Path(found)
    file = str(wanted.get("url") or "").rpartition("/")[2]
    older = Path(torch.hub.get_dir()) / "checkpoints" / file
    if file.endswith(".pth") and older.is_file():
        return older
    raise MissingDependencyError(
        f"the weights of {tower} are not on this machine",
        where=hub or tower,
        hint=f"Give its {FILES[0]} as --pretrained FILE, or fill the hub's cache (HF_HOME) where there is a "
        "connection; --pretrained none begins with random weights.",
    )


def classifier(tower: str) -> str:
    """What the names of a network's classifier begin with."""
    return f"{_settings(tower_kind(tower))['classifier']}."


@lru_cache(maxsize=8)
def _module(tower: str) -> nn.Module:
    """The network without memory of its own."""
    with torch.random.fork_rng(devices=[]):
        module = _made(tower_kind(tower)).eval().requires_grad_(False)
    buffers = [name for name, _ in module.named_buffers()]
    if buffers:
        raise ConfigError(
            f"{tower} has values beside its weights ({buffers[0]}), as batch norms do",
            where="tower",
            hint="A tower is a function of its weights alone: use one without batch norm.",
        )
    for part in module.modules():
        for switch in TWICE:
            if hasattr(part, switch):
                setattr(part, switch, False)
    return module.to("meta")


def _made(kind: TowerKind) -> nn.Module:
    made: nn.Module = _timm().create_model(kind.timm, pretrained=False, **kind.options)
    weights = list(made.parameters())
    found = (sum(math.prod(w.shape) for w in weights), len(weights))
    if kind.parameters is not None and found != kind.parameters:
        raise ConfigError(
            f"timm's {kind.timm} has {found[0]} weights in {found[1]} tensors, the papers' {kind.parameters[0]} "
            f"in {kind.parameters[1]}",
            where="timm",
            hint="Use another version of timm.",
        )
    return made


def _settings(kind: TowerKind) -> dict[str, Any]:
    """What timm knows of the pretrained network."""
    found = _timm().get_pretrained_cfg(kind.timm)
    return {} if found is None else dict(found.to_dict())


@lru_cache(maxsize=1)
def _timm() -> Any:
    for package in ("timm", "torchvision"):
        if find_spec(package) is None:
            raise MissingDependencyError(f"{package} is not installed", where="tower", hint=INSTALL)
    try:
        with _quiet():
            import timm
    except (ImportError, RuntimeError, AttributeError) as error:  # a torchvision of another torch
        raise MissingDependencyError(f"timm cannot be imported here ({error})", where="tower", hint=INSTALL) from error
    return timm


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of other packages' own, while one is imported."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
