r"""What a decoupler is trained by: the common part of a pair says its class, and is the same from either modality
(DAVDD, section "Decoupler bank"; docs/audio_visual.md).

Legend: N items, D width, C classes, z the common representation of a modality. Leading dimensions are independent
batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ConfigError, ShapeError
from limbeck.losses.contrastive import Reduction, info_nce, supervised_contrast
from limbeck.losses.prototypes import Prototypes, align

__all__ = ["Decoupling"]


@dataclass(frozen=True)
class Decoupling:
    r""":math:`L_{de} = L_{cls} + L_{inter} + 3 L_{intra} + L_{align}` with
    :math:`L_{cls} = \lambda_{com} \sum_m CE(l_m, y) + \lambda_{fu} CE(l_{fuse}, y)`.

    Args:
        common, fused: lambda_com and lambda_fu, of the classification losses (2 and 2 in DAVDD).
        inter, intra, align: of the other terms (1, 3 and 1 in DAVDD).
        temperature: tau of both contrasts; the paper does not print it [choice].
        reduction: of the contrast between samples; "sum" as printed, see ``supervised_contrast``.
    """

    common: float = 2.0
    fused: float = 2.0
    inter: float = 1.0
    intra: float = 3.0
    align: float = 1.0
    temperature: float = 0.07
    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        if not self.temperature > 0 or self.reduction not in ("mean", "sum"):
            raise ConfigError(
                f"temperature {self.temperature}, reduction {self.reduction!r}",
                hint='A temperature is above 0, a reduction "mean" or "sum".',
            )

    def __call__(
        self,
        z: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        fused: Tensor,
        labels: Tensor,
        prototypes: Prototypes,
    ) -> dict[str, Tensor]:
        r"""The weighted terms by name; their sum is the loss.

        Of more than two modalities, u is the direction of the sum of all, and intra is summed over pairs [choice].

        Args:
            z: by modality (\*, N, D).
            logits: by modality (\*, N, C), of a linear head on z.
            fused: (\*, N, C), of a linear head on all z side by side.
            labels: (\*, N).
            prototypes: as they stand before the step.

        Returns:
            each (\*): "class", "fused", "inter", "intra", "align".

        Raises:
            ShapeError: fewer than two modalities, or sizes that do not fit.
        """
        if len(z) < 2 or set(z) != set(logits):
            raise ShapeError(f"items of {sorted(z)}, logits of {sorted(logits)}; decoupling takes two or more")
        joint = F.normalize(torch.stack(list(z.values())).sum(0), dim=-1)
        contrast = supervised_contrast(joint, labels, temperature=self.temperature, reduction=self.reduction)
        pairs = [info_nce(a, b, temperature=self.temperature) for a, b in combinations(z.values(), 2)]
        return {
            "class": self.common * torch.stack([_cross_entropy(each, labels) for each in logits.values()]).sum(0),
            "fused": self.fused * _cross_entropy(fused, labels),
            "inter": self.inter * contrast,
            "intra": self.intra * torch.stack(pairs).sum(0),
            "align": self.align * align(z, labels, prototypes),
        }


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    r"""(\*, N, C) and (\*, N) -> (\*), the mean over items."""
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(f"labels {tuple(labels.shape)} for logits {tuple(logits.shape)}")
    return -logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1).mean(-1)
