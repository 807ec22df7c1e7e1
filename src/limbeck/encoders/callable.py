"""An encoder of the user's own: "package.module:function".

The function is called with a modality and gives what embeds its items: a ``torch.nn.Module`` or anything that can be
called with (N, \\*shape), normalised as the store says, and gives (N, D).
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from limbeck.encoders.base import Encoder, Weights
from limbeck.errors import ConfigError, LimbeckError
from limbeck.modalities import Modality
from limbeck.rng import stream

__all__ = ["UserEncoder", "user_encoder"]

PROBED = 2
"""Items that it is tried on, to see how wide it is."""
HINT = "The function takes a modality and gives a torch.nn.Module, or what takes (N, *shape) and gives (N, D)."


@dataclass(frozen=True)
class UserEncoder(Encoder):
    """(N, \\*shape) -> (N, D) by the user's function; a module's weights and buffers are this encoder's weights.

    Args:
        spec: as the user writes it.
        shape: of an item.
        width: D.
        source: hash of the file that the function stands in, and of what it answers: the file does not say what the
            function reads from elsewhere.
        call: what embeds.
    """

    spec: str
    shape: tuple[int, ...]
    width: int
    source: str
    call: Callable[[Tensor], Any] = field(compare=False, repr=False)

    @property
    def embedding(self) -> int:
        return self.width

    @property
    def id(self) -> str:
        return f"{self.spec}-{'x'.join(map(str, self.shape))}-{self.width}-{self.source}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    def init(self, generator: torch.Generator, device: str | torch.device = "cpu") -> Weights:  # noqa: ARG002
        """The module's own values, drawn or read by the user's function; empty for a plain function."""
        if not isinstance(self.call, nn.Module):
            return {}
        own = {**dict(self.call.named_parameters()), **dict(self.call.named_buffers())}
        return {name: w.detach().to(device) for name, w in own.items()}

    def embed(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        self.check(x)
        y = _tried(self.spec, _embed, self.call, weights, x)
        if not isinstance(y, Tensor) or tuple(y.shape) != (len(x), self.width) or not y.is_floating_point():
            raise ConfigError(f"{len(x)} items give {_shown(y)}, not ({len(x)}, {self.width})", where=self.spec)
        return y.float()


def user_encoder(spec: str, modality: Modality) -> UserEncoder:
    """The encoder that the user's function gives for ``modality``.

    Raises ConfigError where there is no such function, it fails, or what it gives does not embed; with what it said.
    """
    module, _, name = spec.partition(":")
    with _from_here():
        home = _tried(spec, importlib.import_module, module)
        made = getattr(home, name, None)
        if not callable(made):
            raise ConfigError(f"{module} has no function {name!r}", where=spec, hint=HINT)
        call = _tried(spec, made, modality)
    if not callable(call):
        raise ConfigError(f"gives {type(call).__name__}, which embeds nothing", where=spec, hint=HINT)
    if isinstance(call, nn.Module):
        call.eval().requires_grad_(False)
    with torch.no_grad():
        probe = torch.randn(PROBED, *modality.shape, generator=stream(0, "user's encoder"))
        y = _tried(spec, call, probe)
    if not isinstance(y, Tensor) or y.dim() != 2 or len(y) != PROBED or not y.shape[1] or not y.is_floating_point():
        raise ConfigError(f"{PROBED} items of {modality.shape} give {_shown(y)}, not (N, D)", where=spec, hint=HINT)
    file = getattr(home, "__file__", None)
    source = hashlib.sha256(Path(file).read_bytes() if file else module.encode())
    source.update(_answer(y).encode())
    return UserEncoder(spec, modality.shape, int(y.shape[1]), source.hexdigest()[:16], call)


def _answer(y: Tensor) -> str:
    """Three digits of a few numbers about what an encoder gives, on which other machines agree."""
    y = y.double()
    ramp = torch.linspace(-1, 1, y.numel(), dtype=torch.float64, device=y.device).view(y.shape)
    return " ".join(f"{float(found):.2e}" for found in (y.abs().mean(), y.square().mean(), (y * ramp).abs().max()))


def _embed(call: Callable[[Tensor], Any], weights: Mapping[str, Tensor], x: Tensor) -> Any:
    return functional_call(call, dict(weights), (x,), strict=True) if isinstance(call, nn.Module) else call(x)


def _tried(spec: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives; whatever the user's code raises as one sentence."""
    try:
        return call(*arguments)
    except (LimbeckError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ConfigError(f"failed: {type(error).__name__}: {error}", where=spec, hint=HINT) from error


def _shown(y: Any) -> str:
    return f"{tuple(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__


@contextmanager
def _from_here() -> Iterator[None]:
    """Modules of the folder the user works in are found, as they are by ``python -m``."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
