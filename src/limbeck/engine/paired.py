"""What a run by pairs stands on: the real pairs and the two towers it looks at them through."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from limbeck.data.pairs import Pairs
from limbeck.encoders.towers import tower_kind
from limbeck.errors import ConfigError, nearest
from limbeck.evaluation.pair_settings import (
    FROZEN_HEADS,
    LINEAR_HEADS,
    TRAINED_TOWERS,
    fitting_tower,
    is_embedded,
)
from limbeck.evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.encoders.tower import TwoTower
    from limbeck.engine.plan import Plan
    from limbeck.engine.settings import RunSettings
    from limbeck.modalities import Modality

__all__ = ["RESOLVED", "SETTINGS", "Paired", "by_pairs", "paired", "settled"]

SETTINGS = ("captions", "tower", "frozen", "width", "validate", "validate_every", "patience")
"""Of a run, what only runs by pairs listen to."""
RESOLVED = ("tower", "validate")
"""Those whose "auto" is settled before a run is started."""


class Paired:
    """Both of a plan, each made when it is first asked for.

    Args:
        progress: show the embedding of captions and the making of towers that are not in the cache yet.
        rehearse: untrained towers, to measure a step.
    """

    def __init__(self, planned: Plan, *, progress: bool = False, rehearse: bool = False) -> None:
        self.planned, self._progress, self._rehearse = planned, progress, rehearse

    @cached_property
    def pairs(self) -> Pairs:
        """The training pairs. Raises MissingDependencyError where the encoder of captions is not there."""
        planned = self.planned
        return Pairs.of(
            planned.store,
            "train",
            modalities=tuple(planned.modalities),
            captions=planned.settings.captions,
            device=planned.numerics.device,
            progress=self._progress,
        )

    @cached_property
    def towers(self) -> TwoTower:
        """On the run's device. Raises MissingDependencyError where weights are not there; says what to put where."""
        from limbeck.banks.towers import build_towers

        settings, numerics = self.planned.settings, self.planned.numerics
        return build_towers(
            self.pairs,
            tower=settings.tower,
            frozen=settings.frozen,
            width=settings.width,
            pretrained="none" if self._rehearse else settings.pretrained,
            channels=settings.channels,
            kernels=numerics.kernels,
            precision=numerics.precision,
            device=numerics.device,
            progress=self._progress,
        )


def by_pairs(settings: RunSettings, modalities: Mapping[str, Modality], store: PairedStore) -> bool:
    """Whether a run looks at pairs as such: two modalities and a budget in pairs, or in bytes where there are no
    classes, without a factor. Of more modalities only items are chosen."""
    over_all = settings.pairs is not None or (settings.bytes is not None and not store.classes)
    return over_all and settings.factor == 1 and len(modalities) == 2


def settled(settings: RunSettings, store: PairedStore, modalities: Mapping[str, Modality]) -> RunSettings:
    """The settings of a run by pairs, every "auto" resolved.

    Raises ConfigError on a tower that there is not and on a protocol that cannot choose the run's step.
    """
    tower, validate = settings.tower, settings.validate
    if tower == "auto":
        tower = fitting_tower(modalities)
    frozen = settings.frozen or not tower_kind(tower).learns
    still = frozen and next(iter(modalities.values())).spatial
    if validate == "auto":
        fitting = FROZEN_HEADS if still else LINEAR_HEADS if is_embedded(store) else TRAINED_TOWERS
        validate = fitting if "validation" in store.splits else "none"
    if validate != "none":  # said here, before experts are trained
        _refuse_judge(validate, still, next(iter(modalities.values())).spatial, store)
    return dataclasses.replace(settings, tower=tower, frozen=frozen, validate=validate)


def _refuse_judge(validate: str, still: bool, spatial: bool, store: PairedStore) -> None:
    """Raises ConfigError where ``validate`` is no protocol by pairs, adds real pairs, or does not fit the tower or the
    store."""
    known = {name: rules for name, rules in PROTOCOLS.items() if rules.task == "pairs" and not rules.replays}
    if validate not in known:
        hint = nearest(validate, (*known, "auto", "none"))
        raise ConfigError(f"{validate!r} is no protocol by pairs", where="--validate", hint=hint)
    on_vectors = known[validate].linear is not None and not spatial
    if known[validate].frozen != still and not on_vectors:
        own = "trains its tower, which stands still here" if still else "keeps its tower, which learns here"
        raise ConfigError(
            f"{validate} {own}",
            where="--validate",
            hint=f"Use {FROZEN_HEADS if still else TRAINED_TOWERS}, or leave it out.",
        )
    if "validation" not in store.splits:
        raise ConfigError("the set has no validation split", where="--validate", hint="Leave it out, or say none.")


def paired(planned: Plan, *, progress: bool = False, rehearse: bool = False) -> Paired:
    """The pairs and towers of a plan, made once for it."""
    return planned.made.setdefault(rehearse, Paired(planned, progress=progress, rehearse=rehearse))
