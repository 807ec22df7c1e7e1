"""From embeddings to class scores: how a student's modalities become one prediction (AVDD, appendix D).

Every head is a function of weights, written once for one network, features (N, D), and for S networks whose weights and
features are stacked along a new first dimension.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.encoders.base import PUBLISHED_WIDTH, Encoder, Weights, draw_uniform
from limbeck.errors import ConfigError
from limbeck.modalities import Audio, Modality

__all__ = ["FUSED", "Attention", "Concat", "Ensemble", "Head", "Sum"]

FUSED = "fused"
"""The output of a head that makes one prediction of all modalities, and the prefix of its weights."""
HEAD_STD = 1e-4
"""Of a linear head's weights [code]."""
PUBLISHED_CHANNELS = 128
"""Of the papers' encoders: what attention fusion adds up."""

Generators = Mapping[str, torch.Generator]


class Head(ABC):
    """What stands on the encoders."""

    outputs: tuple[str, ...]
    """The names of what :meth:`logits` returns."""
    turns: list[tuple[str, ...]] | None = None
    """The modalities that a training step sees, one step after the other within a batch; None for all in one step."""
    narrowness: dict[str, float]
    """By prefix of its weights, how many times more features the published head adds up: 6272 / D for a linear one."""

    @abstractmethod
    def init(self, generators: Generators, device: str | torch.device) -> Weights:
        """Fresh weights under their full names; ``generators`` by modality, and one for FUSED."""

    @abstractmethod
    def logits(self, weights: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By modality (N, D) or (S, N, D) -> by output (N, C) or (S, N, C)."""

    def losses(self, logits: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Cross entropy summed over outputs for each of S networks: per output (S, N, C), and (S, N) -> (S,)."""
        each = [F.cross_entropy(v.transpose(1, 2), labels, reduction="none").mean(1) for v in logits.values()]
        return torch.stack(each).sum(0)

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Numbers in the head, as the paper counts them."""


class Ensemble(Head):
    """A linear head for each modality; their softmaxes are averaged outside. The branches share nothing."""

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        self.widths, self.classes = dict(widths), classes
        self.outputs = tuple(widths)
        self.narrowness = {name: PUBLISHED_WIDTH / width for name, width in widths.items()}

    def init(self, generators: Generators, device: str | torch.device) -> Weights:
        weights: Weights = {}
        for name, width in self.widths.items():
            weights |= _linear_init(f"{name}/head", width, self.classes, generators[name], device)
        return weights

    def logits(self, weights: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: _linear(weights, f"{name}/head", x) for name, x in features.items()}

    @property
    def parameters(self) -> int:
        return sum(self.classes * (width + 1) for width in self.widths.values())


class Sum(Head):
    """One linear head on the sum of the embeddings, which are of one width."""

    outputs = (FUSED,)

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        if len(set(widths.values())) > 1:
            raise ConfigError(
                f"fusion sum adds embeddings up; these are {_words(widths)} wide", hint="Use concat or ensemble."
            )
        self.width, self.classes = next(iter(widths.values())), classes
        self.narrowness = {FUSED: PUBLISHED_WIDTH / self.width}

    def init(self, generators: Generators, device: str | torch.device) -> Weights:
        return _linear_init(f"{FUSED}/head", self.width, self.classes, generators[FUSED], device)

    def logits(self, weights: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {FUSED: _linear(weights, f"{FUSED}/head", torch.stack(list(features.values())).sum(0))}

    @property
    def parameters(self) -> int:
        return self.classes * (self.width + 1)


class Concat(Head):
    """One linear head on the embeddings side by side."""

    outputs = (FUSED,)

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        self.width, self.classes = sum(widths.values()), classes
        self.narrowness = {FUSED: PUBLISHED_WIDTH * len(widths) / self.width}

    def init(self, generators: Generators, device: str | torch.device) -> Weights:
        return _linear_init(f"{FUSED}/head", self.width, self.classes, generators[FUSED], device)

    def logits(self, weights: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {FUSED: _linear(weights, f"{FUSED}/head", torch.cat(list(features.values()), -1))}

    @property
    def parameters(self) -> int:
        return self.classes * (self.width + 1)


class Attention(Head):
    """One modality asks, the positions of the other answer [inferred from the paper's parameter count]:

        q = mean over positions of f_asking                                            (K)
        s = softmax over positions p of tanh(W_a q) . tanh(W_v f_asked[p])             (P)
        f = tanh(U_a q) + tanh(U_v sum_p s_p f_asked[p]);   logits = Linear(f)         (K), (C)

    The sound asks and the picture is asked; without a sound, the second modality asks the first. The paper's count of
    192,798 at 10 classes holds two ensemble heads that this formula never reads: :attr:`parameters` counts them, and no
    such weights exist here.
    """

    outputs = (FUSED,)

    def __init__(self, encoders: Mapping[str, Encoder], modalities: Mapping[str, Modality], classes: int) -> None:
        if len(encoders) != 2:
            raise ConfigError(
                f"fusion attention is between two modalities, not {len(encoders)}", hint="Use sum, concat or ensemble."
            )
        maps = {}
        for name, encoder in encoders.items():
            if encoder.layout is None:
                raise ConfigError(
                    f"fusion attention needs positions, and the encoder of {name} ({encoder.id}) has none",
                    hint="Use sum, concat or ensemble.",
                )
            maps[name] = encoder.layout
        first, second = encoders
        if maps[first] != maps[second]:
            shapes = ", ".join(f"{name} {k} on {h} x {w}" for name, (k, (h, w)) in maps.items())
            raise ConfigError(f"fusion attention needs equal channels and grids, these are {shapes}")
        sounds = [name for name in encoders if isinstance(modalities[name], Audio)]
        self.asking = sounds[0] if sounds else second
        self.asked = first if self.asking == second else second
        self.channels, grid = maps[first]
        self.positions, self.classes = math.prod(grid), classes
        self.narrowness = {FUSED: PUBLISHED_CHANNELS / self.channels}

    def init(self, generators: Generators, device: str | torch.device) -> Weights:
        k, generator = self.channels, generators[FUSED]
        weights: Weights = {}
        for name in ("asking", "asked", "out_asking", "out_asked"):
            weights[f"{FUSED}/{name}.weight"] = draw_uniform((k, k), k, generator, device)
            weights[f"{FUSED}/{name}.bias"] = draw_uniform((k,), k, generator, device)
        return weights | _linear_init(f"{FUSED}/head", k, self.classes, generator, device)

    def logits(self, weights: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        shape = (self.channels, self.positions)
        asking = features[self.asking].unflatten(-1, shape).mean(-1)  # (.., N, K)
        asked = features[self.asked].unflatten(-1, shape).transpose(-1, -2)  # (.., N, P, K)
        flat = asked.flatten(-3, -2)  # (.., N P, K)
        question = _linear(weights, f"{FUSED}/asking", asking).tanh()
        answers = _linear(weights, f"{FUSED}/asked", flat).tanh().unflatten(-2, asked.shape[-3:-1])
        share = (answers @ question.unsqueeze(-1)).softmax(-2)  # (.., N, P, 1)
        heard = (share * asked).sum(-2)
        joint = (
            _linear(weights, f"{FUSED}/out_asking", asking).tanh()
            + _linear(weights, f"{FUSED}/out_asked", heard).tanh()
        )
        return {FUSED: _linear(weights, f"{FUSED}/head", joint)}

    @property
    def parameters(self) -> int:
        k, unread = self.channels, 2 * self.classes * (self.channels * self.positions + 1)
        return 4 * k * (k + 1) + self.classes * (k + 1) + unread


def _linear_init(
    name: str, width: int, classes: int, generator: torch.Generator, device: str | torch.device
) -> Weights:
    """Weights N(0, 1e-4), biases as PyTorch draws them [code]."""
    weight = torch.randn(classes, width, generator=generator) * HEAD_STD
    return {
        f"{name}.weight": weight.to(device),
        f"{name}.bias": draw_uniform((classes,), width, generator, device),
    }


def _linear(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """(N, I) -> (N, O), or (S, N, I) -> (S, N, O) with stacked weights."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if weight.dim() == 2:
        return F.linear(x, weight, bias)
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def _words(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {width}" for name, width in widths.items())
