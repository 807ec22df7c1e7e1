"""What a cell should take at published size: estimates from counts of operations, not measurements.

Of sets by class. A forward pass of an item counts its multiplications; a pass to the pixels counts one more forward, a
pass to the weights two, a second derivative as much as four passes to the weights. Good to a factor of three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.recipes.cell import Cell, Recipe
from limbeck.recipes.datasets import DATASETS, MEL, DataSet
from limbeck.recipes.frozen_cost import frozen_cost, vector_cost
from limbeck.recipes.pair_cost import PAIR_MACHINE, pair_cost

__all__ = ["MACHINE", "Cost", "cell_cost"]

MACHINE = "one A5000-class GPU (24 GB), fp32"
"""What the seconds are of."""
SPEED = 6e12
"""Multiplications a second that it sustains here: 62 PFLOP of AVDD at 10 per class on VGGS-10K take 1 to 2 h
(docs/audio_visual.md), half of them multiplications."""

FORWARD = {"image": 2630e6, "audio": 374e6}
"""Multiplications of an item: 3 x 224 x 224 and 1 x 128 x 56, 128 channels."""
MAPS = {"image": 34e6, "audio": 5e6}
"""Bytes of an item's convolution outputs, fp32."""
PIXELS = {"image": 3 * 224 * 224, "audio": 128 * 56}

PIXEL_PASS, WEIGHT_PASS, SECOND_PASS = 2, 3, 12
"""In forwards, the forward itself included."""
EPOCHS = 30
BANK, EXPERTS, EXPERT_EPOCHS = 40, 20, 4
INNER = {1: 1, 10: 50, 20: 25}
"""Epochs on the set after a step of DC or DSA, by items of a class."""
STUDENTS = 5


@dataclass(frozen=True)
class Cost:
    """Args:
    seconds: of all sets of the cell and of their students.
    once: seconds of what all runs on the data set share: herding's network, a bank, experts.
    gigabytes: of GPU memory, at the smallest group of classes; None where nobody has said.
    machine: what the seconds are of.
    """

    seconds: float
    once: float
    gigabytes: float | None
    machine: str = MACHINE

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the machine is part of it."""
        return {
            "estimate": True,
            "machine": self.machine,
            "hours": round(self.seconds / 3600, 2),
            "hours_once": round(self.once / 3600, 2),
            "memory_gb": None if self.gigabytes is None else round(self.gigabytes, 1),
        }


def cell_cost(recipe: Recipe, cell: Cell) -> Cost:
    """The estimate of a cell."""
    data = DATASETS[cell.dataset]
    if cell.refused:
        return Cost(0.0, 0.0, None)
    if data.looked != "convnet":
        return Cost(*(vector_cost if data.looked == "vectors" else frozen_cost)(recipe, cell, data))
    if cell.by_pairs:
        return Cost(*pair_cost(recipe, cell, data), machine=PAIR_MACHINE)
    modalities: Sequence[str] = cell.settings.get("modalities") or tuple(FORWARD)
    parts = [_one(recipe, cell, data, name, data.mel[2] / MEL[1][2] if name == "audio" else 1.0) for name in modalities]
    seconds, once, gigabytes = (sum(part[k] for part in parts) for k in range(3))
    return Cost(seconds, once, gigabytes)


def _one(recipe: Recipe, cell: Cell, data: DataSet, modality: str, longer: float) -> tuple[float, float, float]:
    """(seconds, once, gigabytes) of one modality, whose items are ``longer`` times as long as a second's."""
    sets = recipe.sets if cell.drawn else 1
    factor, per_class = cell.settings.get("factor", 1), cell.settings.get("per_class", 0)
    items = data.classes * per_class * factor**2
    trained = items if cell.method else data.train
    distilled, together = _distilling(cell, data, modality, items)
    students = STUDENTS * (EPOCHS * trained * WEIGHT_PASS + data.test) if cell.scoring else 0
    second = FORWARD[modality] * longer / SPEED
    learnt = 3 * 4 * data.classes * per_class * PIXELS[modality] * longer  # values, gradient, momentum
    gigabytes = (together * MAPS[modality] * longer + learnt) / 1e9
    return sets * (distilled + students) * second, _once(cell, data) * second, gigabytes


def _distilling(cell: Cell, data: DataSet, modality: str, items: int) -> tuple[float, float]:
    """Forwards of one set, and items whose outputs are held at once."""
    steps, real = cell.settings.get("steps", 0), cell.settings.get("real_batch", 0)
    per_class = items / data.classes
    if cell.method in ("dc", "dsa"):
        looked = data.classes * (real * WEIGHT_PASS + per_class * SECOND_PASS)
        trained = INNER[cell.settings["per_class"]] * items * WEIGHT_PASS
        return steps * (looked + trained), 2 * max(real, 4 * per_class)
    if cell.method == "mtt":
        k = 0 if modality == "audio" else 1
        batch = min(cell.method_settings["inner_batch"][k], items)
        return steps * cell.method_settings["inner_steps"][k] * batch * (WEIGHT_PASS + SECOND_PASS), 4 * batch
    if not steps:
        return 0.0, 2 * 32  # a student's batch
    # of real items, without gradient, only two layers' outputs are held
    return steps * (data.classes * real + items * PIXEL_PASS), max(2 * per_class, real)


def _once(cell: Cell, data: DataSet) -> float:
    """Forwards of what is trained on the real set, once for all runs on it."""
    network = (EPOCHS * WEIGHT_PASS + 1) * data.train if "herding" in (cell.method, cell.settings.get("init")) else 0
    if cell.method == "davdd":
        return network + BANK * EPOCHS * WEIGHT_PASS * data.train
    if cell.method == "mtt":
        return network + EXPERTS * EXPERT_EPOCHS * WEIGHT_PASS * data.train
    return network
