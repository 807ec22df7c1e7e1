"""MTT: a student trained on the set should arrive where an expert arrived on the real one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self, TypeVar

from limbeck.errors import ConfigError
from limbeck.losses import trajectories
from limbeck.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.modalities import Modality
    from limbeck.synthetic import Budget

__all__ = ["MTT", "Trajectories"]

Number = TypeVar("Number", int, float)
LR = 1000.0
"""Rate of the values that Table 9's are multiples of."""
SOUND = {1: (10, 20, 1e3), 10: (10, 20, 1e3), 20: (10, 10, 1e4)}
OTHERS = {1: (5, 5, 1e3), 10: (5, 5, 1e4), 20: (10, 5, 1e1)}
"""(inner steps, inner batch, pixel rate) by items per class, on VGGS-10K (AVDD, Table 9)."""
STEP_SIZE = (1e-3, 1e-4)
"""Of sound, of pictures (AVDD, Table 9)."""


class Trajectories(Protocol):
    """Parameters of one or more networks at one step, (P,) each, by modality."""

    @property
    def start(self) -> Mapping[str, Tensor]:
        """The expert's, where the student starts."""

    @property
    def target(self) -> Mapping[str, Tensor]:
        """The expert's, some epochs later."""

    @property
    def reached(self) -> Mapping[str, Tensor]:
        """The student's after the inner steps, with gradient."""


@dataclass(frozen=True)
class MTT(Method):
    """Matching training trajectories: from an expert's weights at a random epoch, a few steps on the set should lead to
    the expert's weights epochs later. Each modality has experts, batches and a learnt step size of its own.

    Settings as in AVDD's Table 9, VGGS-10K column: random real first items, factor 1, momentum 0.5, 5000 steps. Where
    a setting takes one number or two, two are sound and everything else; None is the published one of 1, 10 or 20 per
    class, whichever is nearest by ratio.

    Args:
        inner_steps: N, of plain SGD on the set (published: sound 10, else 5; 10 at 20 per class).
        inner_batch: decoded items an inner step sees, DSA drawn for each (published: sound 20, else 5; at 20 per class
            10 and 5).
        expert_epochs: between the expert's start and its target.
        max_start_epoch: starts are drawn from the epochs below.
        experts: trajectories a modality, trained before the first step and shared by runs.
        expert_rate, expert_batch: of the experts' plain SGD (0.01 and 256). Small sets have few batches an epoch:
            smaller ones let experts get further (docs/audio_visual.md).
        step_size: of the inner steps at first (published: sound 1e-3, else 1e-4); learnt, and part of the set.
        step_size_rate: of SGD on the step sizes, each kept positive; 0 keeps them as they are.
        pixel_multiple: what lr is multiplied by (published: sound 1, at 20 per class 10; else 1, 10 at 10 per class,
            0.01 at 20).
        gradient: "exact" keeps one inner step's graph at a time, "unroll" all of them; the same gradient.
    """

    name = "mtt"
    title = "Trajectory matching"
    paper = "Cazenavette et al., Dataset Distillation by Matching Training Trajectories, CVPR 2022"
    objective = "trajectories"
    defaults: ClassVar = {"init": "random", "factor": 1, "lr": LR, "lr_rule": "plain", "momentum": 0.5}

    inner_steps: tuple[int, ...] | None = None
    inner_batch: tuple[int, ...] | None = None
    expert_epochs: int = 2
    max_start_epoch: int = 2
    experts: int = 20
    expert_rate: float = 0.01
    expert_batch: int = 256
    step_size: tuple[float, ...] | None = None
    step_size_rate: float = 1e-5
    pixel_multiple: tuple[float, ...] | None = None
    gradient: Literal["exact", "unroll"] = "exact"

    def for_budget(self, budget: Budget) -> Self:
        known = min(SOUND, key=lambda n: abs(math.log((budget.per_class or 1) / n)))
        sound, others = SOUND[known], OTHERS[known]
        settled = dataclasses.replace(
            self,
            inner_steps=_pair("inner_steps", self.inner_steps, (sound[0], others[0])),
            inner_batch=_pair("inner_batch", self.inner_batch, (sound[1], others[1])),
            step_size=_pair("step_size", self.step_size, STEP_SIZE),
            pixel_multiple=_pair("pixel_multiple", self.pixel_multiple, (sound[2] / LR, others[2] / LR)),
        )
        for name in ("expert_epochs", "max_start_epoch", "experts", "expert_batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", where=f"method.{name}", hint="It is 1 or more.")
        if not 0 < self.expert_rate < math.inf or not 0 <= self.step_size_rate < math.inf:
            raise ConfigError(
                f"expert_rate is {self.expert_rate}, step_size_rate {self.step_size_rate}",
                where="method", hint="Experts take a rate above 0, step sizes one of 0 or more.",
            )  # fmt: skip
        return settled

    def rate_multiple(self, modality: Modality) -> float:
        return _of(self.pixel_multiple, modality)

    def steps(self, modality: Modality) -> int:
        """Inner steps on a modality."""
        return _of(self.inner_steps, modality)

    def batch(self, modality: Modality) -> int:
        """Decoded items an inner step on a modality sees at most."""
        return _of(self.inner_batch, modality)

    def first_step_size(self, modality: Modality) -> float:
        """What a modality's step size begins with."""
        return _of(self.step_size, modality)

    def loss(self, seen: Trajectories) -> dict[str, Tensor]:
        return {
            name: trajectories.trajectory_matching(seen.start[name], seen.target[name], reached)
            for name, reached in seen.reached.items()
        }


def _pair(name: str, given: tuple[Number, ...] | None, published: tuple[Number, Number]) -> tuple[Number, Number]:
    """(sound, everything else)."""
    found = published if given is None else given
    if len(found) not in (1, 2) or not all(0 < n < math.inf for n in found):
        raise ConfigError(
            f"{name} is {', '.join(map(str, found))}",
            where=f"method.{name}",
            hint="It is one number above 0, or two: sound and everything else.",
        )
    return found[0], found[-1]


def _of(pair: tuple[Number, ...] | None, modality: Modality) -> Number:
    assert pair is not None  # for_budget has filled it in
    return pair[0] if modality.kind == "audio" else pair[-1]
