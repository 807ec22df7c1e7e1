"""The papers' figures, drawn from the sets and scores of a recipe: one HTML file each that needs no other."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.errors import ConfigError
from limbeck.files import read_json
from limbeck.recipes.results import table
from limbeck.report.curves import Chart, line_chart
from limbeck.report.page import render_page
from limbeck.report.views import View, sounds_each, views
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.modalities import Modality
    from limbeck.recipes.cell import Cell
    from limbeck.recipes.work import Work

__all__ = ["DRAWINGS", "Drawing", "Panel", "Strip", "draw"]

WINDOWS = 50
"""Parts of a run in which the spread of its loss is taken."""
SHOWN = 10
"""Classes on a page at most."""
NEAREST = 3
"""Matches of a query that are shown."""


@dataclass(frozen=True)
class Panel:
    """One item with its caption; ``wrong`` fades it."""

    label: str
    views: Sequence[View]
    wrong: bool = False


@dataclass(frozen=True)
class Strip:
    """Items side by side."""

    heading: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Drawing:
    """What is on a page: a sentence, charts with headings, strips."""

    what: str
    charts: Sequence[tuple[str, Chart]] = field(default_factory=tuple)
    strips: Sequence[Strip] = field(default_factory=tuple)


def draw(work: Work, cells: Sequence[Cell]) -> Path:
    """Draw the recipe's figure from finished cells. Returns the page, ``<recipe>.html`` in the work's folder."""
    drawing = DRAWINGS[str(work.recipe.drawing)](work, cells)
    path = work.folder / f"{work.recipe.name}.html"
    render_page(
        Path(__file__).with_name("figure.html.j2"),
        path,
        name=work.recipe.name,
        title=work.recipe.title,
        data=work.store.name,
        what=drawing.what,
        notes=table(work, cells)["notes"],
        charts=drawing.charts,
        strips=drawing.strips,
        across=max((len(strip.panels) for strip in drawing.strips), default=1),
    )
    return path


def accuracy_against_steps(work: Work, cells: Sequence[Cell]) -> Drawing:
    """AVDD figure 10: fused accuracy of the snapshots, a chart for each way of choosing the first items."""
    from limbeck.recipes.work import stages

    by_init: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for cell in cells:
        assert cell.scoring is not None
        points: dict[int, list[float]] = {}
        for seed in work.seeds_of(cell):
            folder = work.set_folder(cell, seed)
            last = int(read_json(folder / "config.json")["steps"])
            for step in {**stages(folder), last: folder}:
                file = work.score_file(cell.scoring, folder, None if step == last else step)
                points.setdefault(step, []).append(read_json(file)["mean"]["fused"])
        line = [(float(step), statistics.mean(values)) for step, values in sorted(points.items())]
        name = f"{cell.method}, factor {cell.settings['factor']}"
        by_init.setdefault(str(cell.settings["init"]), {})[name] = line
    charts = [(f"first items: {init}", line_chart(series)) for init, series in by_init.items()]
    return Drawing(
        "Accuracy (%) of the set as it was after so many steps. No step is chosen by it.",
        charts=[(heading, chart) for heading, chart in charts if chart is not None],
    )


def loss_stability(work: Work, cells: Sequence[Cell]) -> Drawing:
    """DAVDD figure 4: the loss of each method over its median, and its spread within short stretches of the run."""
    level: dict[str, list[tuple[float, float]]] = {}
    spread: dict[str, list[tuple[float, float]]] = {}
    for cell in cells:
        losses = _losses(work.set_folder(cell, work.seeds[0]))
        middle = statistics.median(loss for _, loss in losses)
        level[str(cell.method)] = [(step, loss / middle) for step, loss in losses]
        size = max(2, len(losses) // WINDOWS)
        stretches = [losses[i : i + size] for i in range(0, len(losses) - size + 1, size)]
        spread[str(cell.method)] = [(part[-1][0], _relative_spread([loss for _, loss in part])) for part in stretches]
    charts = [
        ("Loss over its own median", line_chart(level)),
        ("Spread of the loss within a fiftieth of the run, as a share of its mean", line_chart(spread)),
    ]
    return Drawing(
        "The losses are different sums and cannot be compared in height, only in how they fall and how much they jump.",
        charts=[(heading, chart) for heading, chart in charts if chart is not None],
    )


def _losses(folder: Path) -> list[tuple[float, float]]:
    """(step, loss) of a run."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line) for line in lines]
    if not steps:
        raise ConfigError("the run took no steps, so there is no loss to draw", where=folder)
    return [(float(step["step"]), float(step["loss"])) for step in steps]


def _relative_spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) / statistics.mean(values)


def side_by_side(work: Work, cells: Sequence[Cell]) -> Drawing:
    """DAVDD figure 5: one item of each class as it began, and what each method made of it."""
    folders = {str(cell.method): work.set_folder(cell, work.seeds[0]) for cell in cells}
    sets = {method: SyntheticSet.load(folder) for method, folder in folders.items()}
    first = SyntheticSet.load(next(iter(folders.values())) / "initial")
    for method, folder in folders.items():
        began = SyntheticSet.load(folder / "initial")
        if began.provenance["real_items"] != first.provenance["real_items"]:
            raise ConfigError(f"the set of {method} began as other items than the first", where=folder)
    rows = list(range(0, len(first), max(1, len(first) // len(first.classes))))[:SHOWN]
    columns = {"as chosen": first, **sets}
    shown = _columns(
        first.modalities, [{n: v[rows] for n, v in s.values.items()} for s in columns.values()], first.factor
    )
    strips = [
        Strip(
            first.classes[int(first.labels[row])] if first.labels is not None else f"item {row}",
            [Panel(name, shown[column][i]) for column, name in enumerate(columns)],
        )
        for i, row in enumerate(rows)
    ]
    return Drawing(
        f"The first item of each class: its {first.factor**2} real picks as they were chosen, and as they ended.",
        strips=strips,
    )


def three_nearest(work: Work, cells: Sequence[Cell]) -> Drawing:
    """AVDD figure 7: one test item of each class asks, in both directions; matches of another class are faded."""
    from limbeck.encoders.machine import choose_device
    from limbeck.evaluation.retrieval import embed_test, top_matches

    strips = []
    for folder in dict.fromkeys(work.set_folder(cell, work.seeds[0]) for cell in cells):
        synthetic = SyntheticSet.load(folder)
        found = embed_test(
            synthetic,
            work.store,
            channels=int(synthetic.provenance["settings"]["channels"]),
            device=choose_device(work.machine.get("device", "auto")),
        )
        asking = _first_of_each(found.labels.tolist())[:SHOWN]
        one, other = found.features
        for query, gallery in ((one, other), (other, one)):
            matches = top_matches(found.features[query][asking], found.features[gallery], NEAREST).tolist()
            asked = _real(work, query, [int(found.rows[place]) for place in asking])
            seen = _real(work, gallery, [int(found.rows[place]) for row in matches for place in row])
            for i, place in enumerate(asking):
                label = int(found.labels[place])
                panels = [Panel(f"asked: {work.store.classes[label]}", asked[i])]
                for k, match in enumerate(matches[i]):
                    its = int(found.labels[match])
                    text = f"{k + 1}: {work.store.classes[its]}"
                    panels.append(Panel(text, seen[i * len(matches[i]) + k], wrong=its != label))
                strips.append(Strip(f"{query} to {gallery}", panels))
    return Drawing(
        "Test items that ask, and the three nearest in the other modality by one student; faded ones are of another "
        "class.",
        strips=strips,
    )


def _first_of_each(labels: Sequence[int]) -> list[int]:
    """Where the first item of each class stands."""
    return [labels.index(label) for label in sorted(set(labels))]


def _real(work: Work, name: str, rows: Sequence[int]) -> list[list[View]]:
    """Real items of one modality as views."""
    modality = work.store.modalities[name]
    heard = sounds_each(modality, len(rows), 1)
    (rendered,) = views(modality, [work.store.batch(name, rows)], 1, heard)
    return [[seen] for seen in rendered]


def _columns(
    modalities: Mapping[str, Modality], sets: Sequence[Mapping[str, Tensor]], factor: int
) -> list[list[list[View]]]:
    """Views by set and item, all modalities of an item together."""
    items = len(next(iter(sets[0].values())))
    shown: list[list[list[View]]] = [[[] for _ in range(items)] for _ in sets]
    for name, modality in modalities.items():
        heard = sounds_each(modality, items * len(sets), factor)
        values = [s[name].detach().cpu() for s in reversed(sets)]  # the scale is that of the last: the real items
        for k, rendered in enumerate(reversed(views(modality, values, factor, heard))):
            for i, seen in enumerate(rendered):
                shown[k][i].append(seen)
    return shown


DRAWINGS: dict[str, Callable[[Work, Sequence[Cell]], Drawing]] = {
    f.__name__: f for f in (accuracy_against_steps, loss_stability, side_by_side, three_nearest)
}
