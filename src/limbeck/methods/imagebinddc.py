"""ImageBindDC: characteristic functions of embeddings in one space, of each modality, across and of all together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from limbeck.errors import ConfigError
from limbeck.methods.base import Method, RowGroup, Spectrum

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.losses.grouped import Discrepancy
    from limbeck.modalities import Modality
    from limbeck.synthetic import Budget

__all__ = ["ImageBindDC"]

Reading = Literal["paper", "as_released", "distribution", "hybrid_means"]


@dataclass(frozen=True)
class ImageBindDC(Method):
    """Condensation in a unified embedding space: the characteristic function discrepancy (CFD) of each modality, and
    two terms that tie modalities together.

    The paper looks through frozen ImageBind (``--encoder imagebind``, its table 2) or through random ConvNets (table
    1), which is the default because it needs no weights. Form, scale, weights and rate belong together
    (docs/imagebind.md).

    Args:
        reading: of the cross-modal and the joint-modal term, of which the paper can be read in several ways: "paper"
            (cosines of class means, J1), "as_released" (J0, unbounded below), "distribution" (CFD of hybrid sums and of
            concatenated embeddings, J2), "hybrid_means" (another script of the authors').
        cross_reading: of the cross-modal term alone; by default ``reading``. "all_pairs_cosine" is the mean over all
            pairs, which is not lowest at equal sets.
        joint_reading: of the joint-modal term alone; by default ``reading``.
        uni, cross, joint: weights 1, 10 and 10 [code]; 0 switches a term off. One modality has the first term only.
        discrepancy: "cfd", or "mmd" with a Gaussian kernel, the paper's comparison.
        form: "squared" modulus (paper, eq. 3) or "root" of amplitude and phase (the released form).
        scale: of the discrepancy [code].
        bandwidth: of the kernel of "mmd"; by default the median distance of the real embeddings.
        frequencies: F (4096 in NCFM).
        sampling: "fresh" frequencies each step, "fixed" ones, or those of a "network" that learns where sets differ.
        frequency_scale: deviation of the frequencies; 1 fits embeddings of unit length.
        unit: bring embeddings to unit length first.
    """

    name = "imagebinddc"
    title = "Condensation in a unified embedding space"
    paper = "ImageBindDC, characteristic function condensation in ImageBind's embedding space"
    objective = "embeddings"
    by = ("class", "pairs")
    across = ("cross", "joint")
    # no factor and random real items: the authors' code; a batch of 128 and momentum 0.5: paper
    defaults: ClassVar = {"init": "random", "factor": 1}

    reading: Reading = "paper"
    cross_reading: Literal["paper", "as_released", "distribution", "hybrid_means", "all_pairs_cosine"] | None = None
    joint_reading: Reading | None = None
    uni: float = 1.0
    cross: float = 10.0
    joint: float = 10.0
    discrepancy: Literal["cfd", "mmd"] = "cfd"
    form: Literal["squared", "root"] = "squared"
    scale: float = 300.0
    bandwidth: float | None = None
    frequencies: int = 4096
    sampling: Literal["fresh", "fixed", "network"] = "fresh"
    frequency_scale: float = 1.0
    unit: bool = True

    def __post_init__(self) -> None:
        weights = (self.uni, self.cross, self.joint)
        if not all(0 <= w < math.inf for w in weights) or not any(weights):
            raise ConfigError(f"imagebinddc's weights are {weights}", hint="None is below 0 and one at least is above.")
        for name in ("scale", "frequency_scale", "bandwidth"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} is {value}", where=f"method.{name}", hint="It is above 0.")
        kernel = self.discrepancy == "mmd"
        for name, unused in (
            ("form", kernel and self.form != "squared"),
            ("sampling", kernel and self.sampling != "fresh"),
            ("bandwidth", not kernel and self.bandwidth is not None),
        ):
            if unused:
                raise ConfigError(
                    f"{self.discrepancy} has no {name}",
                    where=f"method.{name}",
                    hint="Leave it out, or choose the other.",
                )
        if self.frequencies < 1:
            raise ConfigError(f"frequencies is {self.frequencies}", where="method.frequencies", hint="It is 1 or more.")

    def check(self, modalities: Mapping[str, Modality], budget: Budget) -> None:
        super().check(modalities, budget)
        if len(modalities) < 2 and not self.uni:
            raise ConfigError(
                "one modality has the uni-modal term alone", where="method.uni", hint="Give it a weight above 0."
            )
        means = self.joint > 0 and (self.joint_reading or self.reading) == "hybrid_means"
        if len(modalities) > 1 and means and self.discrepancy == "mmd" and self.bandwidth is None:
            raise ConfigError(
                "class means are one row each, which has no median distance", where="method.bandwidth", hint="Give it."
            )

    @classmethod
    def published(cls, budget: Budget) -> Mapping[str, Any]:
        # by class rate and momentum are the paper's, and 1000 steps ours: it states none. Pairs: the authors' script
        return {"steps": 1000} if budget.pairs is None else {"steps": 1000, "optimiser": "adam", "lr": 0.01}

    @property
    def spectrum(self) -> Spectrum | None:
        if self.discrepancy != "cfd":
            return None
        return Spectrum(self.frequencies, self.sampling, self.frequency_scale)

    def loss(self, group: RowGroup) -> dict[str, Tensor]:
        from limbeck.losses import unified

        plain = (group.real_rows, group.synthetic_rows)
        real, synthetic = (rows.unit() for rows in plain) if self.unit else plain
        compare = self._compared(group)
        terms = {}
        if self.uni:
            terms["uni"] = self.uni * unified.uni_modal(real, synthetic, compare)
        if len(real.rows) < 2:
            return terms
        if self.cross:
            reading = self.cross_reading or self.reading
            terms["cross"] = self.cross * unified.cross_modal(
                real, synthetic, reading, compare, group.draws("hybrid pairs")
            )
        if self.joint:
            reading = self.joint_reading or self.reading
            seen = plain if reading == "as_released" else (real, synthetic)  # J0 is of means as they are
            terms["joint"] = self.joint * unified.joint_modal(*seen, reading, compare)
        return terms

    def _compared(self, group: RowGroup) -> Callable[[int], Discrepancy]:
        """The discrepancy of rows of a width."""
        from limbeck.losses import characteristic, kernel

        def of(width: int) -> Discrepancy:
            def cfd(x: Tensor, n: tuple[int, ...], y: Tensor, m: tuple[int, ...]) -> Tensor:
                form = characteristic.squared if self.form == "squared" else characteristic.root
                return self.scale * form(x, n, y, m, group.frequencies(width))

            def mmd(x: Tensor, n: tuple[int, ...], y: Tensor, m: tuple[int, ...]) -> Tensor:
                return self.scale * kernel.mmd(x, n, y, m, self.bandwidth)

            return cfd if self.discrepancy == "cfd" else mmd

        return of
