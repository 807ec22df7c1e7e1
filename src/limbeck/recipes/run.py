"""Running the cells of a recipe: each set once, each score once, however many cells or tables they stand in.

| in the folder | what |
|---|---|
| ``sets/<method>-<budget>-<hash>/<seed>/`` | a run folder; cells that ask for the same set share it |
| ``.../scores/<hash>.json`` | what `limbeck evaluate` gave |
| ``avdd.table3.json``, ``avdd.table3.md`` | every cell that was asked for so far, beside its published figure |
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.config import build
from limbeck.data import open_data
from limbeck.errors import ConfigError, LimbeckError
from limbeck.files import read_json, write_json
from limbeck.recipes import recipe as named_recipe
from limbeck.recipes.cell import Cell, Recipe, Scoring
from limbeck.recipes.cost import cell_cost
from limbeck.recipes.datasets import DATASETS
from limbeck.recipes.results import rows_before, table, write_table
from limbeck.recipes.scale import scale as named_scale
from limbeck.recipes.work import Work, stages

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["run_recipe"]


def run_recipe(
    name: str,
    data: str | Path | PairedStore,
    *,
    cells: Sequence[str] = (),
    scale: str = "paper",
    out: str | Path | None = None,
    seeds: Sequence[int] | None = None,
    weights: str | Path | None = None,
    progress: bool = False,
    **machine: Any,
) -> dict[str, Any]:
    """Distil and score the cells of a published table or figure on a store.

    Cells that are not offered keep their figure, and nothing is run for them. What is finished is not done again, and a
    killed run goes on where it was. A cell that fails does not keep the others from running; its error stands in its
    row.

    Args:
        name: of the recipe; `limbeck recipes` lists them.
        data: a data set's name, a store's folder or a store.
        cells: names of cells, or the beginning of some (``ave/10``); by default those of the store's data set, or all
            where it is none of the table's.
        scale: "paper" or "small".
        out: the folder; by default ``runs/recipes/<store>-<scale>``.
        seeds: of the sets of each cell; by default as many as are behind the published figure.
        weights: safetensors file that students start from in the cells that ask for it.
        progress: say what happens, and show bars, on standard error.
        machine: device, kernels, precision, threads, as in `limbeck distill`.

    Returns:
        JSON-ready: the cells with ``published`` and ``ours`` (mean, std, n, sets, students by metric), never mixed;
        ``notes`` on what cannot be compared, and where a figure was drawn its ``page``.

    Raises:
        LimbeckError: unknown names, unusable data; the first cell's error where every cell failed.
    """
    machine = {k: v for k, v in machine.items() if v is not None}
    _refuse_machine(machine)
    if weights is not None and not Path(weights).is_file():
        raise ConfigError("no such file", where=weights, hint="`limbeck evaluate --save-weights` writes such files.")
    found = named_recipe(name)
    chosen_scale, chosen = named_scale(scale), found.chosen(cells)
    store = open_data(data)
    if not cells:
        chosen = own_cells(found, store)
    folder = Path(out) if out is not None else Path("runs") / "recipes" / f"{store.name}-{scale}"
    work = Work(
        recipe=found,
        store=store,
        scale=chosen_scale,
        folder=folder,
        seeds=list(seeds) if seeds is not None else chosen_scale.seeds(found),
        weights=Path(weights) if weights is not None else None,
        machine=machine,
        say=_say if progress else _quiet,
        progress=progress,
    )
    _refuse_another(work)
    for line in [*chosen_scale.words(store, chosen), *_expected(work, chosen), *table(work, chosen)["notes"]]:
        work.say(line)
    errors: dict[str, LimbeckError] = {}
    for cell in chosen:
        if cell.refused:
            work.say(f"{cell.name}: not offered: {cell.refused}")
            continue
        try:
            run_cell(work, cell)
        except LimbeckError as error:
            errors[cell.name] = error
            if len(chosen) > 1:  # the error of the only one is raised
                work.say(f"{cell.name}: {error}")
    if errors and len(errors) == sum(not cell.refused for cell in chosen):
        raise next(iter(errors.values()))
    result = table(work, chosen, errors)
    # a row that is not asked for now is of the seeds and weights it was asked for with
    lines = rows_before(folder, found.name) | {row["name"]: row for row in result["cells"]}
    asked = [cell for cell in found.cells if cell.name in lines]
    write_table(folder, {**table(work, asked), "cells": [lines[cell.name] for cell in asked]})
    if found.drawing is not None and not errors:
        from limbeck.recipes.figures import draw

        result["page"] = str(draw(work, chosen))
    return result


def _expected(work: Work, cells: Sequence[Cell]) -> list[str]:
    """What the cells should take as published; nothing is known of a small scale beforehand."""
    if not work.scale.published:
        return []
    costs = [cell_cost(work.recipe, cell) for cell in cells]
    hours = (sum(c.seconds for c in costs) + max(c.once for c in costs)) / 3600
    number = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    return [f"{number}, about {hours:.1f} h on {costs[0].machine} (estimate, less what is there already)"]


def own_cells(recipe: Recipe, store: PairedStore) -> list[Cell]:
    """The cells of the data set that ``store`` is; every cell where it is none of the recipe's."""
    own = [cell for cell in recipe.cells if DATASETS[cell.dataset].held_by(store)]
    return own or list(recipe.cells)


def run_cell(work: Work, cell: Cell) -> None:
    """Every set of a cell and its scores; what is there already is left alone."""
    scoring = work.scale.scoring(cell)
    if scoring is not None and scoring.pretrained and work.weights is None:
        raise ConfigError("these students start from given weights", where=cell.name, hint="Name a file by --weights.")
    for seed in work.seeds_of(cell):
        folder = work.set_folder(cell, seed)
        if cell.method is not None and not (folder / "synthetic").exists():
            work.say(f"{cell.name}: distilling set {seed}")
            _distil(work, cell, seed, folder)
        if scoring is None:
            continue
        targets: list[tuple[int | None, Path]] = [(None, folder)]
        if "snapshots" in cell.settings:
            targets += stages(folder).items()
        for step, target in targets:
            file = work.score_file(scoring, folder, step)
            if not file.exists():
                stage = "" if step is None else f" after step {step}"
                work.say(f"{cell.name}: scoring set {seed}{stage}")
                _score(work, cell, scoring, target, file)


def _distil(work: Work, cell: Cell, seed: int, folder: Path) -> None:
    from limbeck.engine.run import distill

    assert cell.method is not None
    distill(
        cell.method,
        work.store,
        out=folder,
        resume=(folder / "config.json").exists(),
        progress=work.progress,
        method_settings=work.scale.method_settings(cell),
        seed=seed,
        **work.scale.run_settings(cell, work.store),
        **work.machine,
    )


def _score(work: Work, cell: Cell, scoring: Scoring, target: Path, file: Path) -> None:
    from limbeck.evaluation.run import evaluate

    extra: dict[str, Any] = {} if scoring.fusion is None else {"fusion": scoring.fusion}
    if scoring.pretrained:
        extra["weights"] = work.weights
    whole = cell.method is None
    if cell.by_pairs:
        extra |= {"captions": scoring.captions, "as_published": scoring.as_published}
    elif whole and work.scale.published:
        extra["channels"] = cell.settings["channels"]
    result = evaluate(
        work.store if whole else target,
        data=None if whole else work.store,
        protocol=scoring.protocol,
        students=(scoring.student,),
        seeds=range(work.scale.students),
        progress=work.progress,
        **extra,
        **work.machine,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, result)


def _refuse_machine(machine: Mapping[str, Any]) -> None:
    """Raises ConfigError on what no cell could be run with, once and not for each."""
    from limbeck.encoders.machine import choose_device
    from limbeck.engine.settings import RunSettings

    build(RunSettings, machine)
    choose_device(machine.get("device", "auto"))


def _refuse_another(work: Work) -> None:
    """Raises ConfigError where the folder is a run's, or its table of another store or scale."""
    path = work.folder / f"{work.recipe.name}.json"
    if (work.folder / "config.json").exists() or (work.folder.exists() and not work.folder.is_dir()):
        raise ConfigError("not a folder of recipes", where=work.folder, hint="Choose another --out.")
    if not path.exists():
        return
    before = read_json(path)
    if (before.get("data_hash"), before.get("scale")) != (work.store.data_hash, work.scale.name):
        raise ConfigError(
            f"this folder's {work.recipe.name} is of {before.get('data')} at scale {before.get('scale')}",
            where=work.folder,
            hint="Choose another --out.",
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _quiet(_: str) -> None:
    pass
