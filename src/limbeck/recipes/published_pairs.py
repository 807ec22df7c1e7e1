"""Cells from rows: the settings each image-text method was published with (docs/image_text.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.methods import methods
from limbeck.recipes.cell import Cell, Published, Scoring, grid

__all__ = ["AS_PUBLISHED", "PROTOCOL", "SETTINGS", "cell", "whole"]

PROTOCOL = "retrieval-mdm"
"""Of every method alike: 100 epochs, InfoNCE, DSA, last epoch."""
SCORED = Scoring(PROTOCOL, "nfnet", captions="bert")
AS_PUBLISHED = {
    "mtt_vl": Scoring("retrieval-vld", "nfnet", captions="bert", as_published=True),
    "tesla_wbce": Scoring("retrieval-lors", "nfnet", captions="bert", as_published=True),
    "lors": Scoring("retrieval-lors", "nfnet", captions="bert", as_published=True),
}
"""As the methods' own papers score a set, with what belongs to it."""

TOWERS = {"tower": "nfnet", "captions": "bert", "pretrained": "auto", "frozen": False}
CHOSEN = {**TOWERS, "factor": 1}
"""Of a coreset."""
LOOP = {
    **CHOSEN,
    "steps": 3000,
    "lr_rule": "plain",
    "momentum": 0.5,
    "augment": "",
    "validate": "auto",
    "validate_every": 50,
}
"""Of every method that takes steps. The papers look at the test split; the validation split stands in for it."""

SETTINGS: dict[str, dict[str, Any]] = {
    "random": CHOSEN,
    "herding": CHOSEN,
    "kcenter": CHOSEN,
    "forgetting": CHOSEN,
    # the last three take all their steps: only MDM stops after twenty looks without a better one
    "mtt_vl": {**LOOP, "init": "random", "lr": 1000.0, "patience": 60},
    "tesla_wbce": {**LOOP, "init": "random", "patience": 60},
    "lors": {**LOOP, "init": "random", "patience": 60},
    "mdm": {**LOOP, "init": "kmeans", "real_batch": 64, "clip": 1.0, "patience": 20},
}
"""Run settings at published size, by method. The method's own settings are its published defaults."""

RATES = """
dataset   pairs | mdm
flickr8k  100   | 100
flickr8k  200   | 100
flickr8k  500   | 1000
flickr30k 100   | 100
flickr30k 200   | 1000
flickr30k 500   | 1000
coco      100   | 1000
coco      200   | 1000
coco      500   | 5000
"""
"""MDM's rate of pictures and texts (its table S3)."""

TRAJECTORIES = """
dataset   pairs | lr    lr_s  rank  alpha  batch  starts
flickr30k 100   | 100   10    10    3      20     2
flickr30k 200   | 1000  10    5     1      20     2
flickr30k 500   | 1000  100   20    0.01   40     3
coco      100   | 1000  5     10    1      20     2
coco      200   | 1000  50    20    1      20     2
coco      500   | 5000  500   40    1      30     2
"""
"""LoRS's scripts. Flickr8k has none and takes Flickr30k's, and TESLA with wBCE, for which there is no script at all,
takes LoRS's [choice]."""

BEST = """
dataset   pairs | lors  mdm
flickr8k  100   | 850   200
flickr8k  200   | 1250  200
flickr8k  500   | 2350  50
flickr30k 100   | 2100  700
flickr30k 200   | 1300  550
flickr30k 500   | 900   100
coco      100   | 1600  200
coco      200   | 1950  250
coco      500   | 2900  950
"""
"""Steps whose sets were published, the best on the test split (MDM, figure 4 and table 3; rounded but on Flickr8k)."""


def cell(
    name: str,
    published: Mapping[str, Published],
    method: str,
    pairs: int,
    *,
    settings: Mapping[str, Any] | None = None,
    method_settings: Mapping[str, Any] | None = None,
    scoring: Scoring | None = SCORED,
    note: str = "",
) -> Cell:
    """A distilled (or chosen) set of a published method; ``settings`` are what differs from its usual ones. Settings of
    the method that it has by itself are left out, so that an ablation's cell of the whole method is table 1's set."""
    dataset = name.partition("/")[0]
    run, own = {"pairs": pairs, **SETTINGS[method]}, dict(method_settings or {})
    if method == "mdm":
        run["lr"] = _row(RATES, dataset, pairs)["mdm"]
    if method in ("lors", "tesla_wbce"):
        theirs = _row(TRAJECTORIES, "flickr30k" if dataset == "flickr8k" else dataset, pairs)
        run["lr"] = theirs["lr"]
        own = {**_trajectories(method, dataset, pairs, theirs), **own}
        if (dataset, pairs) == ("coco", 200):
            run["steps"] = 2000
        if (dataset, pairs) == ("flickr30k", 500):
            run["validate_every"] = 300
    usual = {key for key, value in own.items() if value == getattr(methods()[method], key)}
    own = {key: value for key, value in own.items() if key not in usual - {"experts"}}  # which a small scale replaces
    best = _row(BEST, dataset, pairs).get(method)
    run = {**run, **(settings or {})}
    return Cell(name, published, method, run, own, scoring, note, None if best is None else int(best))


def whole(name: str, published: Mapping[str, Published]) -> Cell:
    """Students of the whole training split: the upper bound."""
    return Cell(name, published, None, CHOSEN, scoring=SCORED)


def _row(table: str, dataset: str, pairs: int) -> dict[str, float]:
    found = {tuple(keys): row for keys, row in grid(table)}[dataset, str(pairs)]
    return {column: figure.mean for column, figure in found.items() if figure.mean is not None}


def _trajectories(method: str, dataset: str, pairs: int, theirs: Mapping[str, float]) -> dict[str, Any]:
    own: dict[str, Any] = {"inner_batch": int(theirs["batch"]), "max_start_epoch": int(theirs["starts"])}
    if dataset == "coco":
        own["merged_normaliser"] = True
    if method == "lors":
        own |= {"similarity_rate": theirs["lr_s"], "rank": int(theirs["rank"]), "alpha": theirs["alpha"]}
    if (dataset, pairs) == ("coco", 500):
        own["temperature"] = 0.1
    return own
