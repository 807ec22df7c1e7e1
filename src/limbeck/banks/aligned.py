"""One space for two modalities without a download: linear maps on fixed features, trained once by contrast.

What ImageBind is to those who have its weights, this is to everybody: both modalities of the real training pairs end in
vectors of one width, near each other where they belong together. Only the training split is learnt from; a validation
split, where there is one, says after which epoch to stop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.banks.folder import computing_as, found_folder, holds, made_here, read_tensors, write_tensors
from limbeck.banks.turns import take_turns
from limbeck.data import cache_root
from limbeck.data.pairs import Pairs
from limbeck.encoders import Encoder, Linear, Tower, TwoTower, Weights
from limbeck.progress import Progress
from limbeck.rng import key
from limbeck.training.pair_data import Lifted, RealPairs
from limbeck.training.pairs import PairRecipe, train_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from limbeck.data.store import PairedStore
    from limbeck.modalities import Modality

__all__ = ["ALIGNED_RECIPE", "aligned_maps", "one_an_item"]

ALIGNED_RECIPE = PairRecipe(epochs=40, batch=128, rates=0.01, drops=(30,), weight_decay=0.01, drop_last=True)
"""[choice; compared in short runs on the validation split of flickr8k_1k, one seed: docs/imagebind.md]"""
VERSION = 1
LOOKED_AT = 1000
"""Validation pairs the epoch is chosen by, at most: one caption an item, so that no other item is right too."""
RANKS = (1, 5, 10)


def one_an_item(store: PairedStore, split: str, modalities: Mapping[str, Modality]) -> Pairs:
    """The items of a split, each one pair of its own values; of a set with classes those that have one.

    A single modality serves too, where only items of that one are read. Raises DataError where the split is empty.
    """
    rows = np.asarray(store.rows(split), dtype=np.int64)
    if store.classes and bool((store.labels[rows] >= 0).any()):
        rows = rows[store.labels[rows] >= 0]
    return Pairs(store, split, dict(modalities), rows, np.arange(len(rows)), rows.copy(), None)


def aligned_maps(
    pairs: Pairs,
    bodies: Mapping[str, Encoder],
    weights: Mapping[str, Weights],
    width: int,
    *,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> dict[str, Weights]:
    """By modality the weights of a linear map from ``bodies`` to ``width``, on the CPU; trained where they are not in
    the cache.

    Args:
        pairs: of the training split.
        weights: of the bodies, which stay as they are.

    Raises:
        ConfigError: the cache cannot be written. FormatError: the file is damaged. NumericsError: training diverges.
    """
    towers = _towers(pairs, bodies, weights, width).to(device)
    chooser = _validation(pairs)
    settings = {
        "aligned": VERSION,
        "pairs": pairs.id,
        "validation": None if chooser is None else chooser.id,
        "towers": towers.id,
        "recipe": ALIGNED_RECIPE.to_dict(),
    }
    here = made_here(device)
    folder, made_with = found_folder(cache_root() / "banks", settings, here)
    file = folder / "maps.safetensors"
    shapes = {f"{n}/{k}": shape for n, tower in towers.towers.items() for k, shape in tower.layout.shapes.items()}

    def work(_: Any) -> None:
        with computing_as(made_with):
            _train(pairs, chooser, towers, file, {"made_with": here}, device, progress)

    take_turns(1, folder=folder / "locks", missing=lambda _: not holds(file, shapes, torch.float32), work=work)
    found, _ = read_tensors(file, shapes, torch.float32)
    return {n: {k: found[f"{n}/{k}"] for k in tower.layout.shapes} for n, tower in towers.towers.items()}


def _towers(pairs: Pairs, bodies: Mapping[str, Encoder], weights: Mapping[str, Weights], width: int) -> TwoTower:
    built = {}
    for name in pairs.modalities:
        body, fixed = bodies[name], weights[name]
        trained = Linear(body.embedding, width)
        built[name] = Tower("map", trained, frozen=body if fixed else None, constants=fixed)
    return TwoTower(built)


def _validation(pairs: Pairs) -> Pairs | None:
    """One pair an item of the validation split; None where it has none."""
    store, captions = pairs.store, pairs.captions
    if "validation" not in store.splits:
        return None
    rows = np.asarray(store.rows("validation"), dtype=np.int64)
    if captions is None:
        numbers = rows.copy()
    else:
        rows = rows[captions.offsets[rows + 1] > captions.offsets[rows]]
        numbers = captions.offsets[rows]
    rows, numbers = rows[:LOOKED_AT], numbers[:LOOKED_AT]
    if len(rows) < 2:  # nothing to tell it from
        return None
    return dataclasses.replace(
        pairs, split="validation", items=rows, owner=np.arange(len(rows)), numbers=np.asarray(numbers, dtype=np.int64)
    )


def _train(
    pairs: Pairs,
    chooser: Pairs | None,
    towers: TwoTower,
    file: Path,
    about: dict[str, Any],
    device: str | torch.device,
    progress: bool,
) -> None:
    recipe = ALIGNED_RECIPE
    recall = None if chooser is None else _held_out(chooser, towers, device)
    best: tuple[float, int, dict[str, Weights]] | None = None

    def look(epoch: int, weights: dict[str, Weights]) -> None:
        nonlocal best
        found = float(epoch) if recall is None else recall(weights)
        if best is None or found > best[0]:
            best = found, epoch, weights

    data = Lifted(RealPairs(pairs, device), towers, progress=progress)
    with Progress("maps into one space", recipe.steps(len(pairs)) * recipe.epochs, shown=progress) as bar:
        train_pairs(
            towers,
            data,
            recipe,
            key(0, "aligned"),
            device=device,
            after_epoch=look,
            report=lambda done: bar.update(done, {}, bar.rate(recipe.batch)),
        )
    assert best is not None  # a recipe has an epoch
    found, epoch, weights = best
    chosen = {"epoch": epoch + 1, "validation_recall": None if recall is None else found}
    write_tensors(file, {f"{n}/{k}": w for n, own in weights.items() for k, w in own.items()}, about | chosen)


def _held_out(
    pairs: Pairs, towers: TwoTower, device: str | torch.device
) -> Callable[[Mapping[str, Mapping[str, Tensor]]], float]:
    """Mean of the six recalls of held out pairs, in percent: the loss itself rises while they still do."""
    lifted = Lifted(RealPairs(pairs, device), towers).batch(torch.arange(len(pairs)))

    @torch.no_grad()
    def recall(weights: Mapping[str, Mapping[str, Tensor]]) -> float:
        a, b = (F.normalize(z) for z in towers.embed(weights, lifted).values())
        cosines = a @ b.T
        ranks = torch.cat([(m > m.diagonal()[:, None]).sum(1) for m in (cosines, cosines.T)])
        return 100 * float(torch.stack([(ranks < k).float().mean() for k in RANKS]).mean())

    return recall
