"""What the methods that match trajectories of two towers share: MTT-VL, TESLA with weighted BCE, LoRS."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from limbeck.errors import ConfigError
from limbeck.losses import trajectories
from limbeck.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.methods.mtt import Trajectories
    from limbeck.synthetic import Budget
    from limbeck.synthetic.similarity import Factors

__all__ = ["FLICKR30K", "PairTrajectoryMethod", "Script", "script"]


class Script(NamedTuple):
    """What LoRS's scripts set by the number of pairs: rates of values and of the similarity, the similarity's rank and
    alpha, pairs of an inner step, epochs that starts are drawn from."""

    lr: float
    similarity_rate: float
    rank: int
    alpha: float
    inner_batch: int
    max_start_epoch: int


FLICKR30K = {
    100: Script(100.0, 10.0, 10, 3.0, 20, 2),
    200: Script(1000.0, 10.0, 5, 1.0, 20, 2),
    500: Script(1000.0, 100.0, 20, 0.01, 40, 3),
}
"""By pairs [code of LoRS, the Flickr30k scripts]."""


def script(budget: Budget) -> Script:
    """The published one whose number of pairs is nearest by ratio."""
    return FLICKR30K[min(FLICKR30K, key=lambda known: abs(math.log((budget.pairs or 1) / known)))]


@dataclass(frozen=True)
class PairTrajectoryMethod(Method):
    """A subclass says what its inner steps minimise. Its docstring goes on with these settings:

    Args:
        inner_steps: N, of plain SGD on the set (8).
        inner_batch: pairs an inner step sees.
        expert_epochs: between the experts' start and their target (1).
        max_start_epoch: starts are drawn from the epochs below.
        independent_starts: draw a start epoch for each tower (AMD) instead of one for both.
        experts: pairs of towers trained before the first step and shared by runs (20).
        expert_rate, expert_batch: of their plain SGD (0.1 and 128). Small sets have few batches an epoch: smaller ones
            let experts get further.
        step_size: of the inner steps at first, for either tower (0.1); learnt, and part of the set.
        step_size_rate: of SGD on the step sizes, each kept positive (1e-2); 0 keeps them as they are.
        temperature: of the inner loss (0.07).
        merged_normaliser: divide both towers' distances by what both experts moved together (LoRS's COCO scripts)
            instead of each by its own.
        dropout: heads drop out in inner steps, as in the authors' code; the paper does not say so.
        gradient: "exact" keeps one inner step's graph at a time, "unroll" all of them: the same gradient. "tesla" drops
            how later weights depend on earlier batches, and is another.
    """

    by = ("pairs",)
    modalities = (2, 2)
    objective = "pair_trajectories"
    defaults: ClassVar[Mapping[str, Any]] = {
        "init": "random", "factor": 1, "steps": 3000, "momentum": 0.5, "augment": "", "validate": "auto",
    }  # fmt: skip
    fresh_batches: ClassVar[bool] = False
    """Whether each inner step draws its pairs anew, instead of going through the set."""
    learns_similarity: ClassVar[bool] = False
    student_loss: ClassVar[Literal["info_nce", "weighted_bce"]] = "weighted_bce"
    """What the inner loss is called where students are trained as published."""

    inner_steps: int = 8
    inner_batch: int | None = None
    expert_epochs: int = 1
    max_start_epoch: int | None = None
    independent_starts: bool = False
    experts: int = 20
    expert_rate: float = 0.1
    expert_batch: int = 128
    step_size: float = 0.1
    step_size_rate: float = 1e-2
    temperature: float = 0.07
    merged_normaliser: bool = False
    dropout: bool = False
    gradient: Literal["exact", "tesla", "unroll"] = "tesla"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        shared = (inspect.getdoc(PairTrajectoryMethod) or "").partition("Args:\n")[2]
        own = inspect.cleandoc(cls.__doc__ or "")
        cls.__doc__ = f"{own}\n{shared}" if "Args:\n" in own else f"{own}\n\nArgs:\n{shared}"

    def for_budget(self, budget: Budget) -> Self:
        known = script(budget)
        settled = dataclasses.replace(
            self,
            inner_batch=known.inner_batch if self.inner_batch is None else self.inner_batch,
            max_start_epoch=known.max_start_epoch if self.max_start_epoch is None else self.max_start_epoch,
        )
        for name in ("inner_steps", "inner_batch", "expert_epochs", "max_start_epoch", "experts", "expert_batch"):
            if getattr(settled, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(settled, name)}", where=f"method.{name}", hint="It is 1 or more."
                )
        for name in ("expert_rate", "step_size", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}", where=f"method.{name}", hint="It is above 0.")
        self._check_rates("step_size_rate")
        return settled

    def _check_rates(self, *names: str) -> None:
        """Raises ConfigError unless they are numbers from 0."""
        for name in names:
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}", where=f"method.{name}", hint="It is 0 or more.")

    def inner_loss(self, a: Tensor, b: Tensor, factors: Factors | None) -> Tensor:
        """What the inner steps minimise: a scalar of the (m, D) embeddings of a batch's pairs, differentiable twice.

        Args:
            factors: of the batch's similarity, where the method learns one.
        """
        raise NotImplementedError

    def loss(self, seen: Trajectories) -> dict[str, Tensor]:
        own = self.of_step_sizes(seen)
        if not self.merged_normaliser:
            return own
        ways = {name: (seen.start[name] - seen.target[name]).square().sum() for name in own}
        whole = sum(ways.values())
        return {name: term * (ways[name] / whole) for name, term in own.items()}

    def of_step_sizes(self, seen: Trajectories) -> dict[str, Tensor]:
        """Each tower's distance by its own way, whatever the normaliser: what TESLA's step sizes go down [code]."""
        return {
            name: trajectories.trajectory_matching(seen.start[name], seen.target[name], reached)
            for name, reached in seen.reached.items()
        }
