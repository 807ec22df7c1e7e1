"""What students of a set by pairs are told where the user says nothing: what the set was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data.caption_embeddings import default_captions
from limbeck.encoders.build import fitting_channels, side_of
from limbeck.encoders.frozen import check_reads, frozen_kind
from limbeck.errors import ConfigError
from limbeck.files import digest_file

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.evaluation.protocols import Protocol
    from limbeck.modalities import Modality
    from limbeck.synthetic import SyntheticSet

__all__ = [
    "FROZEN_HEADS", "LINEAR_HEADS", "TRAINED_TOWERS", "default_protocol", "fitting_encoder", "fitting_tower",
    "fitting_width", "is_embedded", "settle_frozen", "settle_pairs",
]  # fmt: skip

FROZEN_HEADS, TRAINED_TOWERS, LINEAR_HEADS = "retrieval-frozen-heads", "retrieval-mdm", "retrieval-linear-heads"
RECOGNITION, RECOGNITION_HEADS = "recognition-avdd", "recognition-frozen-heads"
FRESH = "random"
"""The encoder of a set that was distilled through no one in particular."""
PUBLISHED = 128
"""Sides from which pictures get the papers' tower [choice]."""


def default_protocol(synthetic: SyntheticSet | None, store: PairedStore) -> str:
    """Recognition where there are labels and the set was not made by pairs; else retrieval. Where the set was distilled
    through an encoder that stands still, or the store holds what one made, with linear heads on it; else retrieval with
    the tower frozen where the set's was, and trained where it was not. Of a data set (None) the labels decide."""
    made = _made(synthetic)
    looked = is_embedded(store) or made.get("encoder", FRESH) != FRESH
    if synthetic is None:
        labelled = bool(store.classes)
    else:
        by_pairs = made.get("pairs") is not None and len(synthetic.modalities) == 2 and synthetic.factor == 1
        labelled = synthetic.labels is not None and not by_pairs
    if labelled:
        return RECOGNITION_HEADS if looked else RECOGNITION
    if looked:
        return LINEAR_HEADS
    return FROZEN_HEADS if made.get("frozen") or made.get("tower") == "patches" else TRAINED_TOWERS


def is_embedded(store: PairedStore) -> bool:
    """Whether the store holds what an encoder made of another one's items."""
    return bool(store.settings.get("embedded"))


def fitting_tower(modalities: Mapping[str, Modality]) -> str:
    """The papers' nfnet for large pictures, convnet else."""
    pictures = any(m.kind == "image" for m in modalities.values())
    return "nfnet" if pictures and side_of(modalities) >= PUBLISHED else "convnet"


def fitting_encoder(synthetic: SyntheticSet | None, modalities: Mapping[str, Modality]) -> tuple[str, str]:
    """The encoder that stands still where none is named, and where it starts: the set's own; else patches for what is
    spatial, and vectors as they are [choice]."""
    made = _made(synthetic)
    own = str(made.get("encoder", FRESH))
    if own != FRESH:
        return own, str(made.get("pretrained") or "auto")
    return "patches" if any(m.spatial for m in modalities.values()) else "identity", "auto"


def fitting_width(synthetic: SyntheticSet | None, modalities: Mapping[str, Modality]) -> int:
    """Channels of students where none are named: those of the distilling encoder; else what fits ``modalities``, of a
    set its own."""
    recorded = _made(synthetic).get("channels")
    if isinstance(recorded, int) and not isinstance(recorded, bool) and recorded > 0:
        return recorded
    return fitting_channels(modalities if synthetic is None else synthetic.modalities)


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
    own, start_of = made.get("tower", "auto"), made.get("pretrained")
    if rules.linear is not None and (made.get("encoder", FRESH) != FRESH or not any(m.spatial for m in shown.values())):
        own, start_of = fitting_encoder(synthetic, shown)
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
        start = pretrained or (start_of if name == own else None) or "auto"
        wide = width or rules.linear
        wide = wide if wide is not None or name != own or not rules.frozen else made.get("width")
        towers[name] = {"width": wide, **starting(start)}
    return {
        "students": [own] if students is None else list(students),
        "captions": (captions or made.get("captions") or default_captions(store)) if words else None,
        "towers_of": towers,
        "select": select,
    }


def settle_frozen(
    synthetic: SyntheticSet | None,
    modalities: Mapping[str, Modality],
    students: Sequence[str] | None,
    pretrained: str | None,
) -> dict[str, Any]:
    """Encoders that stand still under a protocol of recognition, and where each starts; None is what the set was
    distilled through. Another than the set's starts where its published weights do.

    Raises ConfigError on an encoder that there is not, or that does not read these modalities.
    """
    own, start = fitting_encoder(synthetic, modalities)
    names = [own] if students is None else list(students)
    for name in names:
        check_reads(frozen_kind(name), modalities)
    return {
        "students": names,
        "encoders_of": {name: starting(pretrained or (start if name == own else "auto")) for name in names},
    }


def starting(pretrained: str) -> dict[str, Any]:
    """Where weights come from, as results tell it: a file by its content, too."""
    path = Path(pretrained)
    return {"pretrained": pretrained, **({"sha256": digest_file(path)} if path.is_file() else {})}


def _made(synthetic: SyntheticSet | None) -> Mapping[str, Any]:
    """The settings of the run that made the set, as far as they are known."""
    found = {} if synthetic is None else synthetic.provenance.get("settings")
    return found if isinstance(found, Mapping) else {}
