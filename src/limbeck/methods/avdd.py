"""AVDD: DM, and the sum and the gap of the two modalities' means."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from limbeck.errors import ConfigError
from limbeck.losses import means
from limbeck.methods.base import Group, Method
from limbeck.methods.dm import DM

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.modalities import Modality
    from limbeck.synthetic import Budget

__all__ = ["AVDD", "RescaledDM"]


def _published_weight(budget: Budget) -> float:
    """lambda of ICM and CGM: 10 at 1 and 10 per class, 20 at 20 (AVDD)."""
    return 10.0 if (budget.per_class or 1) <= 10 else 20.0


@dataclass(frozen=True)
class AVDD(Method):
    """Audio-visual dataset distillation: DM + ICM + CGM on random networks, herding's first items, factor 2.

    With equal weights w, as published, ICM and CGM cancel to a multiple of DM: the loss is exactly (1 + 2w) DM, so
    AVDD is DM with a step 1 + 2w times as long (``dm_rescaled``). Only unequal weights see anything across
    modalities, the inner product of the two differences.

    Args:
        base: weight of the DM term.
        icm, cgm: weights of the two cross-modal terms; by default 10, above 10 per class 20 (AVDD).
        scmm, rscmm: weights of the two terms that pull the modalities' means together, off by default: they hurt
            (AVDD, table 7).
    """

    name = "avdd"
    title = "Audio-visual dataset distillation"
    paper = "Kushwaha et al., Audio-Visual Dataset Distillation, TMLR 2024"
    modalities = (2, None)
    by = ("class", "pairs")
    across = ("icm", "cgm", "scmm", "rscmm")
    defaults: ClassVar = {"init": "herding", "factor": 2}  # AVDD

    base: float = 1.0
    icm: float | None = None
    cgm: float | None = None
    scmm: float = 0.0
    rscmm: float = 0.0

    def for_budget(self, budget: Budget) -> Self:
        weight = _published_weight(budget)
        settled = dataclasses.replace(
            self, icm=weight if self.icm is None else self.icm, cgm=weight if self.cgm is None else self.cgm
        )
        weights = (settled.base, settled.icm or 0.0, settled.cgm or 0.0, settled.scmm, settled.rscmm)
        if not all(0 <= w < math.inf for w in weights) or not any(weights):
            raise ConfigError(f"avdd's weights are {weights}", hint="None is below 0 and one at least is above.")
        return settled

    def loss(self, group: Group) -> dict[str, Tensor]:
        weighted = {
            "base": (self.base, means.distribution_matching),
            "icm": (self.icm or 0.0, means.icm),
            "cgm": (self.cgm or 0.0, means.cgm),
            "scmm": (self.scmm, means.scmm),
            "rscmm": (self.rscmm, means.rscmm),
        }
        return {name: w * term(group.real, group.synthetic) for name, (w, term) in weighted.items() if w}


@dataclass(frozen=True)
class RescaledDM(DM):
    """Control: DM with AVDD's first items, factor and step length.

    AVDD with equal cross-modal weights w has (1 + 2w) times this loss, so DM at (1 + 2w) times the rate takes AVDD's
    very steps.

    Args:
        weight: AVDD's w; by default the published one of the budget. The rate is multiplied by 1 + 2w.
    """

    name = "dm_rescaled"
    title = "DM at AVDD's step length"
    kind = "control"
    by: ClassVar[tuple[str, ...]] = ("class",)
    modalities = (2, 2)  # with three or more, AVDD is another multiple
    defaults: ClassVar = {"init": "herding", "factor": 2}

    weight: float | None = None

    def for_budget(self, budget: Budget) -> Self:
        weight = _published_weight(budget) if self.weight is None else self.weight
        if not 0 <= weight < math.inf:
            raise ConfigError(f"weight is {weight}", where="method.weight", hint="It is 0 or more.")
        return dataclasses.replace(self, weight=weight)

    def rate_multiple(self, modality: Modality) -> float:
        del modality
        return 1 + 2 * (self.weight or 0.0)
