"""GraNd: real items with the largest gradients early in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limbeck.methods.base import Method

__all__ = ["GraNd"]


@dataclass(frozen=True)
class GraNd(Method):
    """Real items by the norm of their gradient to the last layers, averaged over ten short trainings, the largest of
    each class first.

    Initial weights and orders of the ten networks hang on the run's seed (docs/audio_visual.md). Items with large
    gradients are the hard and the mislabelled ones: made for leaving out the easy part of a large set, it is a poor
    choice at a few items a class.
    """

    name = "grand"
    title = "GraNd"
    paper = "Paul et al., Deep Learning on a Data Diet: Finding Important Examples Early in Training, NeurIPS 2021"
    kind = "coreset"
    defaults: ClassVar = {"init": "grand", "steps": 0, "factor": 1}
