"""What short trainings of two towers on the real pairs say of them: where they lie, which of them are forgotten."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F

from limbeck.data import cache_root
from limbeck.data.pairs import Pairs
from limbeck.encoders import Kernels, Precision, TwoTower, Weights
from limbeck.encoders.machine import computing
from limbeck.errors import FormatError, NumericsError
from limbeck.files import digest_of, new_folder, write_json, writing_to
from limbeck.rng import key
from limbeck.training.pair_data import Lifted, PairData, RealPairs
from limbeck.training.pairs import PairRecipe, train_pairs

__all__ = ["FORGETTING", "WARM_UP", "PairDynamics", "unit_embeddings"]

VERSION = 1
SEED = 0
WARM_UP = PairRecipe(epochs=5, batch=64, rates=0.1, momentum=0.0, weight_decay=0.0, augment="none")
"""Of what herding and K-center look through [MDM, S3.5.2]; momentum and augmentation are not stated [choice]."""
FORGETTING = dataclasses.replace(WARM_UP, epochs=10)
"""Ten epochs [MDM, S3.5.2]; the rest as the warm-up [choice]: its driver has 5 epochs and a weight decay of 5e-4."""
CHUNK = 64
Array = np.ndarray[Any, Any]
Report = Callable[[int], None]
Shapes = Mapping[str, tuple[tuple[int, ...], type[np.generic]]]


@dataclass(frozen=True, eq=False)
class PairDynamics:
    """Short trainings by contrast on the training pairs, kept in the cache folder.

    Features are those of one network for all runs; ``seed`` is the run's and decides which network forgets. Neither is
    ever an expert or scores a set.

    Args:
        towers: on ``device``.
        progress: show the pass of all items through a frozen tower.
    """

    pairs: Pairs
    towers: TwoTower
    seed: int
    device: str | torch.device = "cpu"
    kernels: Kernels = "literal"
    precision: Precision = "fp32"
    progress: bool = False

    def features(self, report: Report | None = None) -> dict[str, Array]:
        """Embeddings after the warm-up, as dropout leaves them alone; each item of the first modality once.

        Args:
            report: called after each step with the number of steps so far.

        Returns:
            by modality, of unit length in half precision, mapped from disk: (I, D) of the first, (R, D) of the second.

        Raises:
            NumericsError: the training diverges. ConfigError: the cache cannot be written.
        """
        rows = {self.pairs.first: len(self.pairs.items), self.pairs.second: len(self.pairs)}
        width = next(iter(self.towers.towers.values())).embedding
        shapes: Shapes = {name: ((n, width), np.float16) for name, n in rows.items()}

        def make() -> dict[str, Iterable[Array]]:
            weights = train_pairs(
                self.towers, self._data, WARM_UP, key(SEED, "coreset", "warm-up"), device=self.device, report=report
            )
            parts = {name: unit_embeddings(self.towers, weights, self._data, name) for name in rows}
            return {name: (part.half().cpu().numpy() for part in found) for name, found in parts.items()}

        return self._kept("features", WARM_UP, SEED, shapes, make)

    def history(self, report: Report | None = None) -> Array:
        """Whether the two of a pair were each other's nearest in their batch, with the weights they met there.

        Another is nearer only where its cosine is larger: of equal ones, such as a picture that is twice in a batch,
        none is. A pair in a small last batch has it easier.

        Args:
            report: see :meth:`features`.

        Returns:
            (epochs, R) bool.

        Raises:
            As :meth:`features`.
        """

        def make() -> dict[str, Iterable[Array]]:
            right = torch.zeros(FORGETTING.epochs, len(self.pairs), dtype=torch.bool, device=self.device)

            def observe(epoch: int, at: Tensor, logits: Tensor) -> None:
                own = logits.diagonal()
                right[epoch, at.to(right.device)] = (own >= logits.amax(0)) & (own >= logits.amax(1))

            seed = key(self.seed, "coreset", "forgetting")
            train_pairs(
                self.towers, self._data, FORGETTING, seed, device=self.device, report=report, observe=observe
            )  # fmt: skip
            return {"history": [right.cpu().numpy()]}

        shapes: Shapes = {"history": ((FORGETTING.epochs, len(self.pairs)), np.bool_)}
        return self._kept("history", FORGETTING, self.seed, shapes, make)["history"]

    def steps(self, recipe: PairRecipe) -> int:
        """Batches of one training."""
        return recipe.steps(len(self.pairs)) * recipe.epochs

    @cached_property
    def _data(self) -> Lifted:
        return Lifted(RealPairs(self.pairs, self.device), self.towers, progress=self.progress)

    def _kept(
        self, what: str, recipe: PairRecipe, seed: int, shapes: Shapes, make: Callable[[], dict[str, Iterable[Array]]]
    ) -> dict[str, Array]:
        """Arrays by name from the cache; ``make`` trains where they are not there, and gives blocks of their rows."""
        about = {
            "version": VERSION,
            "what": what,
            "pairs": self.pairs.id,
            "towers": self.towers.id,
            "recipe": recipe.to_dict(),
            "seed": seed,
            **computing(self.device, self.kernels, self.precision),
        }
        folder = cache_root() / "dynamics" / digest_of(about)[:32]
        found = _read(folder, shapes)
        if found is not None:
            return found
        lock = FileLock(folder.with_suffix(".lock"))
        with writing_to(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()  # another process may be at the same training
        try:
            found = _read(folder, shapes)
            if found is None:
                made = make()
                with new_folder(folder) as new:
                    for name, (shape, dtype) in shapes.items():
                        _write(new / f"{name}.npy", shape, dtype, made[name])
                    write_json(new / "about.json", about)
                found = _read(folder, shapes)
        finally:
            lock.release()
        if found is None:
            raise FormatError("what was just written cannot be read back", where=folder, hint="Is the disk full?")
        return found


def unit_embeddings(towers: TwoTower, weights: Mapping[str, Weights], data: PairData, name: str) -> Iterator[Tensor]:
    """Embeddings of modality ``name`` through towers with ``weights``, brought to unit length, (n, D) after (n, D).

    Of the first modality each item's, in their order; of the second each pair's.

    Args:
        data: through the frozen parts already.

    Raises NumericsError on values that are not finite.
    """
    rows = torch.arange(len(data))
    if name == next(iter(data.modalities)):
        rows = torch.zeros(int(data.owner.max()) + 1, dtype=torch.int64).scatter(0, data.owner, rows)
    for chunk in rows.split(CHUNK):
        with torch.no_grad():
            found = F.normalize(towers.towers[name].embed(weights[name], data.values(name, chunk)), dim=1)
        if not bool(found.isfinite().all()):
            raise NumericsError(f"embeddings of {name} are not finite", where=name)
        yield found


def _write(file: Path, shape: tuple[int, ...], dtype: type[np.generic], blocks: Iterable[Array]) -> None:
    """Block by block: the whole need not fit the memory."""
    array = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    start = 0
    for block in blocks:
        array[start : start + len(block)] = block
        start += len(block)
    array.flush()


def _read(folder: Path, shapes: Shapes) -> dict[str, Array] | None:
    """The arrays in ``folder``, None where one is missing or not whole."""
    found: dict[str, Array] = {}
    try:
        for name, (shape, dtype) in shapes.items():
            # "c": torch wants arrays it could write to; what is written stays in memory
            array = np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
            if array.shape != shape or array.dtype != dtype:
                return None
            found[name] = array
    except (OSError, ValueError):
        return None
    return found
