"""What students of a set by pairs are told where the user says nothing: what the set was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.encoders.build import side_of
from limbeck.errors import ConfigError
from limbeck.files import digest_file

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.evaluation.protocols import Protocol
    from limbeck.modalities import Modality
    from limbeck.synthetic import SyntheticSet

__all__ = ["FROZEN_HEADS", "TRAINED_TOWERS", "default_protocol", "fitting_tower", "settle_pairs"]

FROZEN_HEADS, TRAINED_TOWERS = "retrieval-frozen-heads", "retrieval-mdm"
RECOGNITION = "recognition-avdd"
PUBLISHED = 128
"""Sides from which pictures get the papers' tower [choice]."""


def default_protocol(synthetic: SyntheticSet | None, store: PairedStore) -> str:
    """Recognition where there are labels and the set was not made by pairs; else retrieval with the tower frozen where
    the set's was, and trained where it was not. Of a data set (None) the labels decide."""
    if synthetic is None:
        return RECOGNITION if store.classes else TRAINED_TOWERS
    made = _made(synthetic)
    by_pairs = made.get("pairs") is not None and len(synthetic.modalities) == 2 and synthetic.factor == 1
    if synthetic.labels is not None and not by_pairs:
        return RECOGNITION
    return FROZEN_HEADS if made.get("frozen") or made.get("tower") == "patches" else TRAINED_TOWERS


def fitting_tower(modalities: Mapping[str, Modality]) -> str:
    """The papers' nfnet for large pictures, convnet else."""
    pictures = any(m.kind == "image" for m in modalities.values())
    return "nfnet" if pictures and side_of(modalities) >= PUBLISHED else "convnet"


def settle_pairs(
    synthetic: SyntheticSet | None,
    store: PairedStore,
    modalities: Sequence[str],
    rules: Protocol,
    *,
    students: Sequence[str] | None,
    captions: str | None,
    width: int | None,
    pretrained: str | None,
    select: str,
) -> dict[str, Any]:
    """Students (tower names), the captions' encoder and, by student, what its tower is made of; None is what the set
    was made with. A student of another tower than the set's starts where its own papers start.

    Raises ConfigError on a width where no head has one, and on captions where there are none.
    """
    made = _made(synthetic)
    shown = {name: store.modalities[name] for name in modalities if name in store.modalities}
    own = made.get("tower", "auto")
    if own == "auto":
        own = fitting_tower(shown)
        if rules.frozen and own == "convnet" and any(m.kind == "image" for m in shown.values()):
            own = "patches"  # no data set needs another to be looked at
    if width is not None and not rules.frozen:
        raise ConfigError(
            f"{rules.name} trains towers of their own width", where="--width", hint=f"Only {FROZEN_HEADS} has heads."
        )
    words = store.captions.total and any(m.kind == "text" for m in shown.values())
    if captions is not None and not words:
        raise ConfigError("nothing here is a caption", where="--captions", hint="Leave --captions out.")
    towers = {}
    for name in (own,) if students is None else students:
        start = pretrained or (made.get("pretrained") if name == own else None) or "auto"
        wide = width if width is not None or name != own or not rules.frozen else made.get("width")
        towers[name] = {"width": wide, "pretrained": start}
        if Path(start).is_file():
            towers[name]["sha256"] = digest_file(Path(start))
    return {
        "students": [own] if students is None else list(students),
        "captions": (captions or made.get("captions") or "bert") if words else None,
        "towers_of": towers,
        "select": select,
    }


def _made(synthetic: SyntheticSet | None) -> Mapping[str, Any]:
    """The settings of the run that made the set, as far as they are known."""
    found = {} if synthetic is None else synthetic.provenance.get("settings")
    return found if isinstance(found, Mapping) else {}
