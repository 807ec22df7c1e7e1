"""Pretrained ConvNets without a download: a copy trained once, by contrast, on the real training pairs.

What the image-text papers start from is a tower trained on ImageNet. Where there is none for media of this size or
kind, this is what stands in its place: every expert and student starts from the same copy, and the head that it was
trained with is thrown away.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from limbeck.banks.folder import computing_as, found_folder, holds, made_here, read_tensors, write_tensors
from limbeck.banks.turns import take_turns
from limbeck.data import cache_root
from limbeck.encoders import Kernels, Precision, TwoTower, Weights
from limbeck.progress import Progress
from limbeck.rng import key
from limbeck.training.pair_data import RealPairs
from limbeck.training.pairs import PairRecipe, train_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limbeck.data.pairs import Pairs

__all__ = ["COPY_RECIPE", "contrastive_copy"]

COPY_RECIPE = PairRecipe(epochs=20, batch=64, rates=0.01, drops=(15,), augment="randaugment")
"""[choice; rate and augmentation were compared in short runs on a validation split, one seed: docs/image_text.md]"""
VERSION = 1


def contrastive_copy(
    pairs: Pairs,
    towers: TwoTower,
    names: Sequence[str],
    kernels: Kernels,
    precision: Precision,
    *,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> dict[str, Weights]:
    """Weights of the towers called ``names``, by modality, on the CPU; trained where they are not in the cache.

    Args:
        towers: of fresh weights, all trained.
        kernels, precision: of their ConvNets.

    Raises:
        ConfigError: the cache cannot be written. FormatError: the file is damaged. NumericsError: training diverges.
    """
    settings = {
        "copy": VERSION,
        "pairs": pairs.id,
        "towers": towers.id,
        "recipe": COPY_RECIPE.to_dict(),
        "precision": precision,
    }
    here = made_here(device, kernels=kernels)
    folder, made_with = found_folder(cache_root() / "banks", settings, here)
    file = folder / "towers.safetensors"
    shapes = {f"{n}/{k}": shape for n in names for k, shape in towers.towers[n].layout.shapes.items()}

    def work(_: Any) -> None:
        with computing_as(made_with):
            _train(pairs, towers, names, file, {"made_with": here}, device, progress)

    take_turns(1, folder=folder / "locks", missing=lambda _: not holds(file, shapes, torch.float32), work=work)
    found, _ = read_tensors(file, shapes, torch.float32)
    return {name: {k: found[f"{name}/{k}"] for k in towers.towers[name].layout.shapes} for name in names}


def _train(
    pairs: Pairs,
    towers: TwoTower,
    names: Sequence[str],
    file: Path,
    about: dict[str, Any],
    device: str | torch.device,
    progress: bool,
) -> None:
    steps = COPY_RECIPE.steps(len(pairs)) * COPY_RECIPE.epochs
    with Progress("tower", steps, shown=progress) as bar:
        weights = train_pairs(
            towers,
            RealPairs(pairs, device),
            COPY_RECIPE,
            key(0, "tower"),
            device=device,
            report=lambda done: bar.update(done, {}, bar.rate(COPY_RECIPE.batch)),
        )
    write_tensors(file, {f"{n}/{k}": w for n in names for k, w in weights[n].items()}, about)
