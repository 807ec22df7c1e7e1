"""Scoring what is on disk: a run, an artifact, or the whole training split of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.config import settings_hash
from limbeck.data import EMBEDDED, cache_root, open_data
from limbeck.engine.numerics import choose_device
from limbeck.engine.settings import RunSettings, preset
from limbeck.errors import ConfigError, DataError
from limbeck.evaluation.study import refuse_repeats
from limbeck.files import read_json, write_json
from limbeck.synthetic import SyntheticSet

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["evaluate"]


def evaluate(
    target: str | Path | SyntheticSet | PairedStore,
    *,
    protocol: str = "recognition-avdd",
    students: Sequence[str] = ("convnet",),
    seeds: Sequence[int] = range(5),
    data: str | Path | PairedStore | None = None,
    whole: bool = False,
    whole_seeds: Sequence[int] = range(3),
    channels: int | None = None,
    device: str = "auto",
    kernels: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    split: str = "test",
    at_once: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Train students on a synthetic set, or on a whole training split, and score them on real items.

    Args:
        target: a run's folder, an artifact's folder or a set; or a data set's name or store, which scores its whole
            training split.
        protocol: ``limbeck protocols`` lists them.
        students: architectures; one other than the distilling encoder is cross-architecture.
        seeds: one student of each architecture for each; their streams share nothing with the run's.
        data: the real set; by default the one the set was made from.
        whole: score the whole training split too, under the same protocol; kept in the cache folder, and beside every
            later score for which it was measured.
        whole_seeds: its students.
        channels: width of the students; by default that of the distilling encoder.
        split: whose items the students are scored on.
        at_once: students trained in one pass; by default one on a CPU and all on a GPU; fewer fit a small one's memory.

    Returns:
        What ``result.json`` holds: protocol, version, selection, students, seeds, the scores of each student, mean,
        std, n and interval by metric. In a run's folder the last one is kept as ``result.json``, and the last one of
        each protocol, split and set of students in ``results``.

    Raises:
        LimbeckError: of the kind that says what is wrong.
    """
    for name, value in (("channels", channels), ("threads", threads), ("at_once", at_once)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}", hint="It is 1 or more.")
    refuse_repeats("--whole-seeds", whole_seeds)
    synthetic, folder = _synthetic(target)
    store = _store(target, synthetic, data)
    settings: dict[str, Any] = {
        "protocol": protocol,
        "students": list(students),
        "channels": channels or _width(synthetic, store),
        "split": split,
        "at_once": at_once,
        **_machine(device, kernels, precision, threads),
    }
    modalities = tuple(store.modalities if synthetic is None else synthetic.modalities)
    if synthetic is None:
        return _whole(store, modalities, settings, seeds, progress) or {}
    result = _score(synthetic, store, modalities, settings, seeds, progress)
    result["trained_on"] = {
        "method": synthetic.provenance.get("method"),
        "items": len(synthetic),
        "bytes": synthetic.bytes,
        "run_hash": synthetic.provenance.get("run_hash"),
    }
    upper = _whole(store, modalities, settings, whole_seeds, progress, train=whole)
    if upper is not None:
        result["whole"] = upper
    if folder is not None:
        (folder / "results").mkdir(exist_ok=True)
        write_json(folder / "results" / f"{protocol}-{split}-{'+'.join(students)}.json", result)
        write_json(folder / "result.json", result)
    return result


def _synthetic(target: object) -> tuple[SyntheticSet | None, Path | None]:
    """The set, None for whole data; and the run's folder, where it is one."""
    if isinstance(target, SyntheticSet):
        return target, None
    if not isinstance(target, (str, Path)):
        return None, None
    path = Path(target)
    if not path.is_dir() or (path / "store.json").exists():
        return None, None
    return SyntheticSet.load(path), path if (path / "config.json").exists() else None


def _store(target: Any, synthetic: SyntheticSet | None, data: Any) -> PairedStore:
    if synthetic is None:
        return open_data(target)
    if data is not None:
        return open_data(data)
    made_from = synthetic.provenance.get("data", {})
    path = str(made_from.get("path") or "")
    if path not in EMBEDDED and not (path and Path(path).exists()):
        raise DataError(f"the data this set was made from is not here ({path!r})", hint="Say where with --data.")
    store = open_data(path)
    if store.data_hash != made_from.get("hash"):
        raise DataError(
            "the data has changed since the set was made from it",
            where=store.path,
            hint="Say --data to score on it all the same.",
        )
    return store


def _width(synthetic: SyntheticSet | None, store: PairedStore) -> int:
    recorded = synthetic.provenance.get("settings", {}).get("channels") if synthetic is not None else None
    return int(recorded or preset(store).get("channels", RunSettings.channels))


def _machine(device: str, kernels: str, precision: str, threads: int | None) -> dict[str, Any]:
    import torch

    from limbeck.encoders.fused import default_kernels

    chosen = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    return {
        "device": str(chosen),
        "kernels": default_kernels(chosen) if kernels == "auto" else kernels,
        "precision": precision,
        "threads": torch.get_num_threads(),
    }


def _whole(
    store: PairedStore,
    modalities: tuple[str, ...],
    settings: dict[str, Any],
    seeds: Sequence[int],
    progress: bool,
    *,
    train: bool = True,
) -> dict[str, Any] | None:
    """The whole training split's score: from the cache, else trained, or None where it is not to be trained."""
    import torch

    from limbeck.evaluation.protocols import protocol

    version = protocol(settings["protocol"]).version
    key = settings_hash(store.data_hash, modalities, settings, version, list(seeds), torch.__version__)
    path = cache_root() / "whole" / f"{key}.json"
    if path.exists():
        return read_json(path)
    if not train:
        return None
    result = _score(None, store, modalities, settings, seeds, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    return result


def _score(
    synthetic: SyntheticSet | None,
    store: PairedStore,
    modalities: tuple[str, ...],
    settings: dict[str, Any],
    seeds: Sequence[int],
    progress: bool,
) -> dict[str, Any]:
    from limbeck.evaluation.recognition import evaluate_recognition

    result = evaluate_recognition(
        synthetic,
        store,
        protocol=settings["protocol"],
        students=settings["students"],
        seeds=list(seeds),
        modalities=modalities,
        channels=settings["channels"],
        device=settings["device"],
        kernels=settings["kernels"],
        precision=settings["precision"],
        split=settings["split"],
        at_once=settings["at_once"],
        progress=progress,
    )
    return result.to_dict()
