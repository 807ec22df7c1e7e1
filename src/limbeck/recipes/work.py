"""What a recipe works on, and where it keeps what it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.config import settings_hash
from limbeck.files import digest_file

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.recipes.cell import Cell, Recipe, Scoring
    from limbeck.recipes.scale import Scale

__all__ = ["Work", "stages"]


@dataclass(frozen=True)
class Work:
    """A recipe on a store: what is to be done, and where.

    Args:
        seeds: of the sets of each cell.
        weights: file that students with given weights start from, None for none.
        machine: device, kernels, precision and threads, where they were given.
        say: takes a line on what happens.
    """

    recipe: Recipe
    store: PairedStore
    scale: Scale
    folder: Path
    seeds: Sequence[int]
    weights: Path | None
    machine: Mapping[str, Any]
    say: Callable[[str], None]
    progress: bool

    def set_folder(self, cell: Cell, seed: int) -> Path:
        """Where the set of a cell and seed is, or will be; ``whole`` for the training split itself."""
        if cell.method is None:
            return self.folder / "sets" / f"whole-{self.store.data_hash[:8]}"
        settings, own = self.scale.run_settings(cell, self.store), self.scale.method_settings(cell)
        key = settings_hash(cell.method, settings, own, self.store.data_hash, self.machine.get("precision"))[:8]
        budget = settings["pairs" if cell.by_pairs else "per_class"]
        return self.folder / "sets" / f"{cell.method}-{budget}-{key}" / str(seed)

    def seeds_of(self, cell: Cell) -> list[int]:
        """One where another seed gives the same set."""
        return list(self.seeds) if cell.drawn else list(self.seeds[:1])

    def score_file(self, scoring: Scoring, folder: Path, step: int | None = None) -> Path:
        """Where the score of a set is kept, or of what it was after a step."""
        weights = digest_file(self.weights) if scoring.pretrained and self.weights else None
        about = (scoring.told, self.scale.students, weights, self.scale.published, self.machine.get("precision"))
        suffix = "" if step is None else f"-step{step}"
        return folder / "scores" / f"{settings_hash(*about)[:12]}{suffix}.json"


def stages(folder: Path) -> dict[int, Path]:
    """What a run kept of its set on the way, by steps: the first items, and the snapshots."""
    kept = {int(path.name): path for path in (folder / "snapshots").glob("[0-9]*") if path.name.isdigit()}
    return {0: folder / "initial", **dict(sorted(kept.items()))}
