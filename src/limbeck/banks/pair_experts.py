"""Experts on pairs: two towers trained on the whole real set, their weights kept after every epoch.

What MTT-VL, TESLA and LoRS match and MDM merges (their "buffer").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from limbeck.banks.folder import computing_as, found_folder, made_here, name_of
from limbeck.banks.pair_snapshots import SEED, Snapshots, expert_seed
from limbeck.banks.turns import take_turns
from limbeck.data import cache_root
from limbeck.encoders import Encoder, TwoTower
from limbeck.encoders.flat import Layout
from limbeck.errors import ConfigError, NumericsError
from limbeck.progress import Progress
from limbeck.training.pair_data import Lifted, PairData, RealPairs
from limbeck.training.pairs import PairRecipe, train_pairs

if TYPE_CHECKING:
    from limbeck.data.pairs import Pairs

__all__ = ["PAIR_EXPERT_RECIPE", "PairExperts", "expert_recipe", "expert_seed"]

VERSION = 1
PAIR_EXPERT_RECIPE = PairRecipe(
    epochs=10, batch=128, rates=0.1, momentum=0.0, weight_decay=0.0, augment="randaugment", drop_last=True
)
"""The papers' [code of MTT-VL and LoRS]: ten epochs of plain SGD, the train transform on pictures. Their frozen text
encoder drops out while experts are trained, ours does not [choice]."""


def expert_recipe(towers: TwoTower, recipe: PairRecipe = PAIR_EXPERT_RECIPE) -> PairRecipe:
    """``recipe`` as it is for these towers: what is frozen is gone through once, so nothing below it is augmented
    [choice]. Raises ConfigError where an epoch hangs on more than the weights before it."""
    if recipe.momentum:
        raise ConfigError("experts on pairs are trained without momentum", where="recipe", hint="Set momentum 0.")
    frozen = next(iter(towers.towers.values())).frozen is not None
    return dataclasses.replace(recipe, augment="none") if frozen else recipe


class PairExperts:
    """Snapshots by modality, expert and epoch, in a folder of the cache made by :meth:`build`.

    | in the folder | what |
    |---|---|
    | ``about.json`` | what the weights depend on |
    | ``expert-0000/epoch-00.safetensors`` | where it begins, a vector a modality without a pretrained one |
    | ``expert-0000/epoch-01.safetensors`` ... | after each epoch |
    | ``locks/`` | one an expert |

    Args:
        experts: how many there are at least.
        epochs: snapshots 0..epochs are there.
    """

    id: str
    """Of all that the weights depend on; numbers of experts and epochs are no part: more of either adds to what is
    there."""
    layouts: dict[str, Layout]

    def __init__(self, files: Snapshots, bank_id: str, experts: int, epochs: int, rehearse: bool) -> None:
        self._files, self.id, self.experts, self.epochs, self._rehearse = files, bank_id, experts, epochs, rehearse
        self.layouts = files.towers.layouts

    @classmethod
    def build(
        cls,
        pairs: Pairs,
        towers: TwoTower,
        *,
        experts: int = 20,
        epochs: int = 10,
        recipe: PairRecipe = PAIR_EXPERT_RECIPE,
        half: bool = False,
        device: str | torch.device = "cpu",
        progress: bool = False,
        rehearse: bool = False,
    ) -> Self:
        """Train what is missing.

        An expert is kept after each of its epochs and taken up from there; finished epochs are never touched again.
        Several processes may build the same bank: each takes the next missing expert.

        Args:
            pairs: of the train split.
            experts, epochs: 20 and 10 in the papers; no epoch is trained beyond the last that anything will ask for.
            recipe: of the experts; its number of epochs does not count, see :func:`expert_recipe`.
            half: keep what an expert moved since its start in half precision; an epoch then begins from the rounded
                weights, whose error is below 2^-11 of what was moved.
            rehearse: train nothing, every snapshot is a fresh network: to measure a step, not to take it.

        Raises:
            ConfigError: no expert, no epoch, a recipe whose epochs hang together.
            NumericsError: a training diverges; names the expert and the epoch.
        """
        if experts < 1 or epochs < 1:
            raise ConfigError(f"{experts} experts of {epochs} epochs", hint="Both are 1 or more.")
        recipe = expert_recipe(towers, recipe)
        settings = {
            "version": VERSION,
            "kind": "pair experts",
            "pairs": pairs.id,
            "towers": towers.id,
            "recipe": {k: v for k, v in recipe.to_dict().items() if k != "epochs"},
            "half": half,
            "precision": sorted({getattr(e, "precision", "fp32") for e in _encoders(towers)}),
            "seed": SEED,
        }
        here = made_here(device)
        if rehearse:
            return cls(Snapshots(Path(), towers, half), name_of(settings), experts, epochs, rehearse)
        folder, made_with = found_folder(cache_root() / "banks", settings, here)
        files = Snapshots(folder, towers, half)
        _train_missing(files, pairs, recipe, experts, epochs, made_with, torch.device(device), progress)
        return cls(files, name_of([settings, made_with]), experts, epochs, rehearse)

    def snapshot(self, name: str, expert: int, epoch: int, device: str | torch.device = "cpu") -> Tensor:
        """(P,) float32 of a modality after ``epoch`` epochs; 0 is the start. Of the mapped files only these bytes are
        read.

        Raises ConfigError where there is none, FormatError where its file is damaged.
        """
        if name not in self.layouts or not 0 <= expert < self.experts or not 0 <= epoch <= self.epochs:
            raise ConfigError(
                f"no snapshot {epoch} of expert {expert} of {name}",
                hint=f"There are {self.experts} experts of {', '.join(self.layouts)}, snapshots 0 to {self.epochs}.",
            )
        if self._rehearse:
            return self._files.fresh(name, expert, epoch).to(device)
        return self._files.read(name, expert, epoch).to(device)


def _train_missing(
    files: Snapshots,
    pairs: Pairs,
    recipe: PairRecipe,
    experts: int,
    epochs: int,
    made_with: Mapping[str, Any],
    device: torch.device,
    progress: bool,
) -> None:
    """Every epoch of every expert that is not there yet, by this process or another at the same bank."""
    steps = recipe.steps(len(pairs))
    data: list[PairData] = []

    def there() -> int:
        return sum(files.there(m, e) for m in range(experts) for e in range(1, epochs + 1))

    def work(group: Sequence[int]) -> None:
        if not data:
            real = RealPairs(pairs, device)
            data.append(Lifted(real, files.towers, progress=progress) if recipe.augment == "none" else real)
        with computing_as(made_with):
            for expert in group:
                if not files.there(expert, 0):
                    files.write(expert, 0, {name: files.fresh(name, expert) for name in files.shapes(0)})
                for epoch in range(epochs):
                    if not files.there(expert, epoch + 1):
                        report = _reporter(bar, there() * steps, recipe.batch)
                        _train_epoch(files, data[0], recipe, expert, epoch, device, report)

    done = there() * steps
    with Progress("experts", experts * epochs * steps, done=done, shown=progress) as bar:
        take_turns(
            experts,
            folder=files.folder / "locks",
            missing=lambda m: not all(files.there(m, e) for e in range(epochs + 1)),
            work=work,
        )


def _train_epoch(
    files: Snapshots,
    data: PairData,
    recipe: PairRecipe,
    expert: int,
    epoch: int,
    device: torch.device,
    report: Callable[[int], None],
) -> None:
    """One more epoch of an expert, from what is kept of the one before."""
    start = {n: layout.weights(files.read(n, expert, epoch)) for n, layout in files.layouts.items()}
    try:
        trained = train_pairs(
            files.towers, data, dataclasses.replace(recipe, epochs=epoch + 1), expert_seed(expert),
            device=device, weights=start, epochs=range(epoch, epoch + 1), report=report,
        )  # fmt: skip
    except NumericsError as error:
        raise NumericsError(
            f"expert {expert} on pairs has a loss or weight that is not finite",
            where=f"epoch {epoch}",
            hint="Lower its rates.",
        ) from error
    files.write(expert, epoch + 1, {n: layout.flatten(trained[n]).cpu() for n, layout in files.layouts.items()})


def _reporter(bar: Progress, before: int, batch: int) -> Callable[[int], None]:
    return lambda done: bar.update(before + done, {}, bar.rate(batch))


def _encoders(towers: TwoTower) -> list[Encoder]:
    return [e for t in towers.towers.values() for e in (t.frozen, t.trained) if e is not None]
