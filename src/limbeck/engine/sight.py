"""What the steps of a run look through, and the real items they look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.data.real_items import RealItems
from limbeck.engine.paired import paired
from limbeck.engine.settings import FRESH, LOOKING

if TYPE_CHECKING:
    from limbeck.banks.frozen import Frozen
    from limbeck.encoders import Encoder
    from limbeck.engine.plan import Plan

__all__ = ["Sight", "seen_through", "sight"]


@dataclass(frozen=True)
class Sight:
    """
    Args:
        items: the training split, by class or by pairs.
        encoders: by modality.
        frozen: those encoders with the weights they keep; None where each step has fresh ones.
    """

    items: RealItems
    encoders: dict[str, Encoder]
    frozen: Frozen | None


def sight(planned: Plan, *, progress: bool = False, rehearse: bool = False) -> Sight:
    """Of a plan, made once for it. Where ``rehearse`` is true, weights that the user does not bring are
    random: to measure a step."""
    if rehearse in planned.sights:
        return planned.sights[rehearse]
    settings, numerics = planned.settings, planned.numerics
    items = (
        RealItems(paired(planned, progress=progress, rehearse=rehearse).pairs)
        if planned.by_pairs
        else RealItems(planned.store, planned.modalities)
    )
    frozen = None
    if settings.encoder == FRESH:
        encoders = numerics.encoders(items.modalities, settings.channels)
    else:
        from limbeck.banks.frozen import frozen_encoders

        made = settings.pretrained == "auto" and ":" not in settings.encoder  # else the user has it, at its own size
        frozen = frozen_encoders(
            planned.store if items.pairs is None else items.pairs, items.modalities, settings.encoder,
            pretrained="none" if rehearse and made else settings.pretrained, precision=numerics.precision,
            device=numerics.device, progress=progress,
        )  # fmt: skip
        encoders = frozen.encoders
    return planned.sights.setdefault(rehearse, Sight(items, encoders, frozen))


def seen_through(planned: Plan, *, progress: bool = False) -> dict[str, str]:
    """By modality the id of what the steps of a run look through, that of its weights with it where they are made from
    the data or read from a file; a choice of pairs at random looks through none."""
    if planned.method.objective in LOOKING and planned.settings.steps:
        found = sight(planned, progress=progress)
        about = "" if found.frozen is None else f"@{found.frozen.id}"
        return {name: encoder.id + about for name, encoder in found.encoders.items()}
    if planned.by_pairs:
        towers = paired(planned, progress=progress).towers.towers if planned.settings.steps else {}
        return {name: tower.id for name, tower in towers.items()}
    encoders = planned.numerics.encoders(planned.modalities, planned.settings.channels)
    return {name: encoder.id for name, encoder in encoders.items()}
