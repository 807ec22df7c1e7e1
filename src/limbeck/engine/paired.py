"""What a run by pairs stands on: the real pairs and the two towers it looks at them through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.data.pairs import Pairs
from limbeck.encoders.build import side_of

if TYPE_CHECKING:
    from limbeck.encoders.tower import TwoTower
    from limbeck.engine.plan import Plan

__all__ = ["Paired", "by_pairs", "paired", "tower_name"]

PUBLISHED = 128
"""Sides from which pictures get the papers' tower [choice]."""


@dataclass(frozen=True)
class Paired:
    """The training pairs, and towers on the run's device."""

    pairs: Pairs
    towers: TwoTower


def by_pairs(planned: Plan) -> bool:
    """Whether a run looks at pairs as such: two modalities and a budget in pairs, without a factor. Of more modalities
    only items are chosen."""
    settings = planned.settings
    return settings.pairs is not None and settings.factor == 1 and len(planned.modalities) == 2


def tower_name(planned: Plan) -> str:
    """The tower of the first modality, "auto" settled."""
    if planned.settings.tower != "auto":
        return planned.settings.tower
    pictures = any(m.kind == "image" for m in planned.modalities.values())
    return "nfnet" if pictures and side_of(planned.modalities) >= PUBLISHED else "convnet"


def paired(planned: Plan, *, progress: bool = False, rehearse: bool = False) -> Paired:
    """Embeds the captions and makes the towers where they are not in the cache yet.

    Args:
        rehearse: untrained towers, to measure a step.

    Raises:
        MissingDependencyError: weights are not there; says what to put where.
    """
    from limbeck.banks.towers import build_towers

    settings, numerics = planned.settings, planned.numerics
    pairs = Pairs.of(
        planned.store,
        "train",
        modalities=tuple(planned.modalities),
        captions=settings.captions,
        device=numerics.device,
        progress=progress,
    )
    towers = build_towers(
        pairs,
        tower=tower_name(planned),
        frozen=settings.frozen,
        width=settings.width,
        pretrained="none" if rehearse else settings.pretrained,
        channels=settings.channels,
        kernels=numerics.kernels,
        precision=numerics.precision,
        device=numerics.device,
        progress=progress,
    )
    return Paired(pairs, towers)
