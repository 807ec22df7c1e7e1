"""A new method: the sliced Wasserstein distance between the embeddings of real and of synthetic items."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import limbeck
from limbeck.methods import Method


def sliced_wasserstein(real: Tensor, synthetic: Tensor, directions: Tensor) -> Tensor:
    """Mean over directions of the squared distance between quantiles: (n, D), (m, D), (P, D) of unit length -> ()."""
    level = (torch.arange(len(synthetic), dtype=real.dtype, device=real.device) + 0.5) / len(synthetic)
    wanted = torch.quantile(real @ directions.T, level, dim=0)  # (m, P)
    found = (synthetic @ directions.T).sort(dim=0).values
    return (found - wanted).square().mean()


@dataclass(frozen=True)
class Sliced(Method):
    """Match whole distributions of embeddings, not only their means: along random lines, quantile by quantile.

    Args:
        directions: lines drawn a step, modality and class.
        weight: of the only term.
    """

    name = "sliced"
    title = "Sliced Wasserstein matching"
    paper = "-"
    objective = "embeddings"  # every row, where the default shows class means

    directions: int = 64
    weight: float = 1000.0

    def loss(self, group):
        total = 0.0
        for modality, rows in group.synthetic_rows.rows.items():
            real = group.real_rows.rows[modality].split(group.real_rows.counts)
            synthetic = rows.split(group.synthetic_rows.counts)
            for theirs, ours, draw in zip(real, synthetic, group.draws(f"sliced {modality}"), strict=True):
                lines = torch.randn(self.directions, ours.shape[1], generator=draw).to(ours)
                total = total + sliced_wasserstein(theirs, ours, torch.nn.functional.normalize(lines, dim=1))
        return {"sliced": self.weight * total}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--out", default="runs/new_method")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for method in ("random", "dm", "sliced"):
        run, steps = Path(options.out) / method, {} if method == "random" else {"steps": options.steps}
        limbeck.distill(method, options.data, per_class=1, init="random", factor=1, out=run, resume=run.exists(), **steps)
        limbeck.evaluate(run, seeds=range(options.seeds))
    runs = [Path(options.out) / method for method in ("random", "dm", "sliced")]
    found = limbeck.compare(runs, baseline="dm", metric=["fused"])
    for row in found["rows"]:
        print(row["label"], row["scores"]["fused"])
