"""Cells from rows: the settings each method was published with in the audio-visual papers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.recipes.cell import Cell, Published, Scoring, grid

__all__ = ["SETTINGS", "cell", "fused", "whole"]

LOOP = {"steps": 5000, "real_batch": 128, "lr": 0.2, "lr_rule": "plain", "momentum": 0.5, "channels": 128}
"""AVDD's loop: every table unless a method has its own."""

GRADIENTS = {"real_batch": 256, "lr": 0.1, "lr_rule": "plain", "momentum": 0.5, "channels": 128}
"""DC's and DSA's, which AVDD ran with their authors' settings; the loops within a step are the methods' own."""
NETWORKS = 1000
"""Networks of DC and DSA, each seen for as many steps as there are items of a class (at 1, 10 and 20)."""

SETTINGS: dict[str, dict[str, Any]] = {
    "random": {"channels": 128},
    "herding": {"channels": 128},
    "dm": {**LOOP, "init": "random", "factor": 1},
    "avdd": {**LOOP, "init": "herding", "factor": 2},
    # DAVDD states neither pixel rate, momentum nor steps: the rate is measured, the others AVDD's [choice]
    "davdd": {**LOOP, "lr": 0.002, "init": "herding", "factor": 2},
    "dc": {**GRADIENTS, "init": "noise", "factor": 1, "augment": ""},
    "dsa": {**GRADIENTS, "init": "random", "factor": 1},
    "mtt": {**LOOP, "lr": 1000.0, "init": "random", "factor": 1},
}
"""Run settings at published size, by method. The method's own settings are its published defaults."""

TRAJECTORIES = """
dataset   per_class | steps_a  batch_a  rate_a  steps_v  batch_v  rate_v
vggs10k   1         | 10       20       1e3     5        5        1e3
vggs10k   10        | 10       20       1e3     5        5        1e4
vggs10k   20        | 10       10       1e4     10       5        1e1
vggsound  1         | 10       20       1e3     5        5        1e3
vggsound  10        | 10       20       1e3     -        -        -
vggsound  20        | 5        2        1e1     -        -        -
music21   1         | 10       20       1e3     5        5        1e3
music21   10        | 10       20       1e3     5        5        1e3
music21   20        | 5        2        1e1     -        -        -
ave       1         | 20       20       1e3     5        5        1e3
ave       10        | 10       20       1e3     2        1        1e5
ave       20        | 10       10       1e4     -        -        -
"""
"""MTT's, AVDD table 9: inner steps, their batch and the pixel rate, of sound (a) and pictures (v)."""


def _trajectories(dataset: str, per_class: int) -> dict[str, Any]:
    """MTT's settings on a data set; those of VGGS-10K stand in for what table 9 leaves out [choice]."""
    table = {tuple(keys): row for keys, row in grid(TRAJECTORIES)}
    own, usual = table[dataset, str(per_class)], table["vggs10k", str(per_class)]

    def pair(column: str) -> tuple[float, float]:
        sound, picture = (own[f"{column}_{m}"].mean or usual[f"{column}_{m}"].mean or 0.0 for m in "av")
        return sound, picture

    (steps, batch, rate) = (pair(column) for column in ("steps", "batch", "rate"))
    lr = SETTINGS["mtt"]["lr"]
    return {
        "inner_steps": (int(steps[0]), int(steps[1])),
        "inner_batch": (int(batch[0]), int(batch[1])),
        "pixel_multiple": (rate[0] / lr, rate[1] / lr),
    }


def fused(figure: Published) -> dict[str, Published]:
    """A table with one figure a cell: the accuracy of both modalities together."""
    return {"fused": figure}


def cell(
    name: str,
    published: Mapping[str, Published],
    method: str,
    per_class: int,
    *,
    settings: Mapping[str, Any] | None = None,
    method_settings: Mapping[str, Any] | None = None,
    scoring: Scoring | None = Scoring(),  # noqa: B008  (frozen)
    note: str = "",
) -> Cell:
    """A distilled (or chosen) set of a published method; ``settings`` are what differs from its usual ones."""
    run = {"per_class": per_class, **SETTINGS[method]}
    own = dict(method_settings or {})
    if method in ("dc", "dsa"):
        run["steps"] = NETWORKS * per_class
    if method == "mtt":
        own = {**_trajectories(name.partition("/")[0], per_class), **own}
    return Cell(name, published, method, {**run, **(settings or {})}, own, scoring, note)


def whole(name: str, published: Mapping[str, Published], scoring: Scoring | None = None) -> Cell:
    """Students of the whole training split: the upper bound."""
    return Cell(name, published, None, {"channels": 128}, scoring=scoring or Scoring())
