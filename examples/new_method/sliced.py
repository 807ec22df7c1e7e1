r"""A method of one's own: match whole distributions of embeddings along random lines, not only their means.

.. math:: L = \sum_{m, k} D \, \mathbb{E}_\theta \frac{1}{n} \sum_i
    \bigl(Q_{\langle x, \theta \rangle}(\tfrac{i - 1/2}{n}) - \langle s, \theta \rangle_{(i)}\bigr)^2

with Q the quantiles of a class's real embeddings x along a line of unit length, and its n synthetic ones s in order:
the sliced Wasserstein distance. The factor D makes it the squared distance where either side is one point, as in DM.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.methods import Method


def sliced_wasserstein(real: Tensor, synthetic: Tensor, lines: Tensor) -> Tensor:
    """D times the mean squared difference of quantiles: (N, D), (n, D), (P, D) of unit length -> a scalar."""
    level = (torch.arange(len(synthetic), dtype=real.dtype, device=real.device) + 0.5) / len(synthetic)
    wanted = torch.quantile(real @ lines.T, level, dim=0)
    found = (synthetic @ lines.T).sort(dim=0).values
    return real.shape[1] * (found - wanted).square().mean()


@dataclass(frozen=True)
class Sliced(Method):
    """Sliced Wasserstein matching.

    Args:
        directions: lines drawn at each step for each modality and class.
    """

    name = "sliced"
    title = "Sliced Wasserstein matching"
    paper = "-"
    objective = "embeddings"  # shows the loss every row; the default, "means", shows class means

    directions: int = 64

    def __post_init__(self) -> None:
        if self.directions < 1:
            raise ConfigError(f"directions is {self.directions}", where="method.directions", hint="It is 1 or more.")

    def loss(self, group):
        total = 0.0
        for name, rows in group.synthetic_rows.rows.items():
            real = group.real_rows.rows[name].split(group.real_rows.counts)
            synthetic = rows.split(group.synthetic_rows.counts)
            for theirs, ours, draw in zip(real, synthetic, group.draws(f"sliced {name}"), strict=True):
                lines = torch.randn(self.directions, ours.shape[1], generator=draw).to(ours)
                total = total + sliced_wasserstein(theirs, ours, torch.nn.functional.normalize(lines, dim=1))
        return {"sliced": total}
