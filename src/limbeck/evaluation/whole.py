"""One scoring of any task; that of the whole training split is kept in the cache folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from limbeck.config import settings_hash
from limbeck.data import cache_root
from limbeck.evaluation.protocols import protocol as named_protocol
from limbeck.files import read_json, write_json

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.evaluation.protocols import Protocol
    from limbeck.synthetic import SyntheticSet

__all__ = ["score", "score_whole"]


def score_whole(
    store: PairedStore,
    modalities: tuple[str, ...],
    settings: dict[str, Any],
    files: Mapping[str, Any],
    seeds: Sequence[int],
    progress: bool,
    *,
    train: bool = True,
    like: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """The whole training split's score: from the cache, else trained, or None where it is not to be trained.

    Args:
        like: the score beside which it is to stand: one from the cache whose encoders stood elsewhere is none.
    """
    import torch

    rules = named_protocol(settings["protocol"])
    key = settings_hash(
        store.data_hash, modalities, settings, rules.version, list(seeds), torch.__version__, *_towers_are(rules)
    )
    path = cache_root() / "whole" / f"{key}.json"
    if files.get("save_weights") is None and (found := _kept(path, like)) is not None:
        return found
    if not train:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path) + ".lock"):  # of processes that ask at once one measures, and the others wait for it
        found = None if files.get("save_weights") is not None else _kept(path, like)
        if found is None:
            found = score(None, store, modalities, settings, files, seeds, progress)
            write_json(path, found)
    return found


def _kept(path: Path, like: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What was measured before, where its encoders stood as those of ``like``."""
    found = read_json(path) if path.exists() else None
    return found if found is None or like is None or _stood_on(found) == _stood_on(like) else None


def _stood_on(result: Mapping[str, Any]) -> Any:
    """What stood still below its students, by what its values are."""
    return result["settings"].get("encoders") or result["settings"].get("towers")


def _towers_are(rules: Protocol) -> list[Any]:
    """What no setting says of towers, and of encoders that stand still: how those that are made here are made."""
    if rules.task != "pairs" and not rules.frozen:
        return []
    from limbeck.banks.aligned import ALIGNED_RECIPE
    from limbeck.banks.contrastive import COPY_RECIPE
    from limbeck.banks.patches import DICTIONARY
    from limbeck.banks.towers import HEAD_WIDTH

    made = {"copy": COPY_RECIPE.to_dict(), "patches": dataclasses.asdict(DICTIONARY), "width": HEAD_WIDTH}
    if rules.linear is not None or rules.task != "pairs":
        made["aligned"] = ALIGNED_RECIPE.to_dict()
    return [made]


def score(
    synthetic: SyntheticSet | None,
    store: PairedStore,
    modalities: tuple[str, ...],
    settings: dict[str, Any],
    files: Mapping[str, Any],
    seeds: Sequence[int],
    progress: bool,
) -> dict[str, Any]:
    """What ``result.json`` holds, of ``synthetic`` or of the whole training split where it is None."""
    from limbeck.evaluation.pairs import evaluate_pairs
    from limbeck.evaluation.recognition import evaluate_recognition
    from limbeck.evaluation.retrieval import evaluate_retrieval

    tasks = {"recognition": evaluate_recognition, "retrieval": evaluate_retrieval, "pairs": evaluate_pairs}
    told = {name: value for name, value in settings.items() if name not in ("threads", "weights")}
    return tasks[named_protocol(settings["protocol"]).task](
        synthetic, store, modalities=modalities, seeds=list(seeds), progress=progress, **told, **files
    ).to_dict()
