"""Herding: real items whose mean feature stays close to the class mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limbeck.methods.base import Method

__all__ = ["Herding"]


@dataclass(frozen=True)
class Herding(Method):
    """Real items picked greedily so that their mean follows the class mean, on features of networks trained on the
    whole training split.

    With ``--factor 2`` it packs four shrunken picks into each item: the row "H+Factor" of AVDD's table 4, which
    explains most of what distillation gains at small sizes and should stand in every comparison.

    With a budget in pairs, of two modalities: real pairs whose mean follows that of all, on both halves side by side as
    two towers see them after a short warm-up on the real pairs (docs/image_text.md).
    """

    name = "herding"
    title = "Herding"
    paper = "Welling 2009; features as AVDD (docs/audio_visual.md)"
    kind = "coreset"
    by = ("class", "pairs")
    defaults: ClassVar = {"init": "herding", "steps": 0, "factor": 1}
