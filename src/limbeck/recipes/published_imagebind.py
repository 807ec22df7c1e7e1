"""Cells from rows: the settings ImageBindDC and what it is compared with were published with (docs/imagebind.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.recipes import published as convnet
from limbeck.recipes.cell import Cell, Published, Scoring

__all__ = ["FROZEN", "FROZEN_HEADS", "OOM", "SETTINGS", "as_released", "cell", "whole"]

FROZEN_HEADS = Scoring("recognition-frozen-heads", "imagebind")
"""A frozen ImageBind and a linear head a modality, as the paper's tables with that encoder seem to be scored."""

STEPS = 1000
"""[choice] The paper gives no number, and its seconds allow tens."""
LOOP = {"steps": STEPS, "real_batch": 128, "lr": 0.2, "lr_rule": "plain", "momentum": 0.5, "factor": 1}
"""Rate and momentum of the paper; the batch is that of the working code."""
FROZEN = {**LOOP, "init": "random", "augment": "", "encoder": "imagebind", "pretrained": "auto"}
"""Of every method that looks through ImageBind. Without DSA [choice], so that real items are looked at once."""
CHOSEN = {"factor": 1}

SETTINGS: dict[str, dict[str, Any]] = {
    "random": CHOSEN,
    "herding": CHOSEN,
    "forgetting": CHOSEN,
    "grand": CHOSEN,
    "dm": FROZEN,
    "avdd": {**FROZEN, "init": "herding"},
    "imagebinddc": FROZEN,
}
"""Run settings through ImageBind, by method. The method's own settings are its defaults."""

ON_CONVNETS = {**convnet.LOOP, "steps": STEPS, "init": "random", "factor": 1}
"""ImageBindDC's through fresh ConvNets of AVDD's width."""

RELEASED = {
    "steps": 30,
    "augment": "color_crop_cutout_flip_scale_rotate",
    "dsa_sharing": "step",
    "stepping": "per_class",
}
RELEASED_LOSS = {"reading": "as_released", "form": "root", "frequencies": 4090}
"""What is read in a public repository that looks like the authors' working code. Its launch scripts take 30 steps and
look at the test split after each."""

OOM = "the paper's own run ran out of memory, and no network is trained through ImageBind here"


def cell(
    name: str,
    published: Mapping[str, Published],
    method: str,
    budget: int,
    *,
    settings: Mapping[str, Any] | None = None,
    method_settings: Mapping[str, Any] | None = None,
    scoring: Scoring | None = FROZEN_HEADS,
    note: str = "",
) -> Cell:
    """A set distilled through ImageBind or chosen, ``budget`` items a class; ``settings`` are what differs from its
    usual ones. What is not offered is a cell all the same, with its reason."""
    if method not in SETTINGS:
        return Cell(name, published, method, scoring=scoring, note=note, refused=_reason(method))
    run = {"per_class": budget, **SETTINGS[method], **(settings or {})}
    return Cell(name, published, method, run, dict(method_settings or {}), scoring, note)


def as_released(found: Cell, rate: float) -> Cell:
    """The cell under the settings of the working code, at the rate of its script."""
    run = {**found.settings, **RELEASED, "lr": rate}
    own = {**found.method_settings, **RELEASED_LOSS}
    return Cell(f"{found.name}/as-released", found.published, found.method, run, own, found.scoring, found.note)


def whole(name: str, published: Mapping[str, Published], scoring: Scoring = FROZEN_HEADS) -> Cell:
    """Students of the whole training split: the upper bound."""
    return Cell(name, published, None, {"channels": 128}, scoring=scoring)


def _reason(method: str) -> str:
    if method in ("dc", "mtt"):
        return OOM
    return "it matches the gradients of networks that it trains on the way; a frozen encoder has none to match"
