"""Scoring what is on disk: a run, an artifact, or the whole training split of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data import open_data
from limbeck.encoders.machine import choose_device
from limbeck.errors import ConfigError, FormatError, nearest
from limbeck.evaluation.pair_settings import default_protocol, fitting_width, settle_frozen, settle_pairs
from limbeck.evaluation.protocols import protocol as named_protocol
from limbeck.evaluation.study import refuse_repeats
from limbeck.evaluation.whole import score, score_whole
from limbeck.files import digest_file, write_json
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.origin import store_of

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.evaluation.protocols import Protocol

__all__ = ["evaluate"]


def evaluate(
    target: str | Path | SyntheticSet | PairedStore,
    *,
    protocol: str | None = None,
    students: Sequence[str] | None = None,
    seeds: Sequence[int] = range(5),
    data: str | Path | PairedStore | None = None,
    whole: bool = False,
    whole_seeds: Sequence[int] = range(3),
    modalities: Sequence[str] | None = None,
    fusion: str | None = None,
    weights: str | Path | None = None,
    save_weights: str | Path | None = None,
    channels: int | None = None,
    captions: str | None = None,
    width: int | None = None,
    pretrained: str | None = None,
    as_published: bool = False,
    select: str = "last",
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
        protocol: ``limbeck protocols`` lists them. By default recognition where there are labels and the set was not
            made by pairs, else retrieval by pairs; with what learns, or stands still under heads, as for the set.
        students: architectures; one other than the distilling encoder is cross-architecture. By pairs names of towers,
            and under a protocol of heads names of encoders that stand still; by default the set's own.
        seeds: one student of each architecture for each; their streams share nothing with the run's.
        data: the real set; by default the one the set was made from.
        whole: score the whole training split too, under the same protocol; kept in the cache folder, and beside every
            later score for which it was measured.
        whole_seeds: its students.
        modalities: which of the set's; all by default. One alone gives the papers' A or V columns.
        fusion: ensemble, sum, concat or attention: how students make one prediction of their modalities; by default
            the protocol's.
        weights: a safetensors file that the encoders of every student start from, such as those of students trained
            on a larger set; heads of another shape are fresh.
        save_weights: a folder that keeps the trained students as such files, called after architecture and seed.
        channels: width of the students; by default that of the distilling encoder.
        captions: by pairs, the frozen encoder of real captions; by default the set's. Another must have its width.
        width: by pairs on a frozen tower, of the space that both towers share; by default the set's.
        pretrained: by pairs, or of encoders that stand still: where they start: "auto", "none" or a file; by default
            where the set's did.
        as_published: by pairs, train with the similarity, step sizes and loss that the set has learnt, where it has.
        select: by pairs, "last" epoch, the best one by the "validation" split, or, for comparison with papers that do
            so, by the test split itself: "test-oracle".
        split: whose items the students are scored on.
        at_once: students trained in one pass; by default one on a CPU and all on a GPU; fewer fit a small one's memory.

    Returns:
        What ``result.json`` holds: protocol, version, selection, students, seeds, the scores of each student, mean,
        std, n and interval by metric. In a run's folder the last one is kept as ``result.json``, and the last one of
        each protocol, split, set of students and, where they are given, of the other settings in ``results``.

    Raises:
        LimbeckError: of the kind that says what is wrong.
    """
    for name, value in (("channels", channels), ("threads", threads), ("at_once", at_once), ("width", width)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}", hint="It is 1 or more.")
    refuse_repeats("--whole-seeds", whole_seeds)
    synthetic, folder = _synthetic(target)
    store = _store(target, synthetic, data)
    rules = named_protocol(protocol or default_protocol(synthetic, store))
    chosen = _chosen(synthetic, store, modalities)
    machine = {
        "channels": channels or fitting_width(synthetic, store.modalities),
        "split": split,
        **_machine(device, kernels, precision, threads),
    }
    apart = {"captions": captions, "width": width, "pretrained": pretrained}
    own: dict[str, Any] = {}
    if rules.task == "pairs":
        _refuse(rules, {"fusion": fusion, "weights": weights, "save-weights": save_weights, "at-once": at_once})
        _refuse(rules, {"as-published": as_published or None} if rules.linear is not None else {})
        _refuse(rules, {"whole": whole or None} if rules.replays else {})
        settings = settle_pairs(
            synthetic, store, chosen, rules,
            students=students, captions=captions, width=width, pretrained=pretrained, select=select,
        )  # fmt: skip
        if as_published and synthetic is None:
            raise ConfigError("real pairs carry nothing that was learnt", where="--as-published")
        own = {"as_published": True} if as_published else {}
    else:
        unheard = {**apart, "pretrained": None} if rules.frozen else apart
        _refuse(rules, unheard | {"as-published": as_published or None, "select": None if select == "last" else select})
        _refuse(rules, {"weights": weights} if rules.frozen else {})
        settings = {"students": list(("convnet",) if students is None else students), "at_once": at_once}
        if rules.frozen:
            shown = {name: store.modalities[name] for name in chosen if name in store.modalities}
            settings |= settle_frozen(synthetic, shown, students, pretrained)
        if fusion is not None and fusion != rules.fusion:
            settings["fusion"] = fusion
        if weights is not None:
            settings["weights"] = _digest(Path(weights))
    settings = {"protocol": rules.name, **settings, **machine}
    files = {} if weights is None else {"weights": Path(weights)}
    keep = files if save_weights is None else files | {"save_weights": Path(save_weights)}
    if synthetic is None:
        return score_whole(store, chosen, settings, keep | own, seeds, progress) or {}
    result = score(synthetic, store, chosen, settings, keep | own, seeds, progress)
    result["trained_on"] = {
        "method": synthetic.provenance.get("method"),
        "items": len(synthetic),
        "bytes": synthetic.counted_bytes,
        **_counted(synthetic),
        "run_hash": synthetic.provenance.get("run_hash"),
        "settings": synthetic.provenance.get("settings"),
    }
    upper = score_whole(store, chosen, settings, files, whole_seeds, progress, train=whole, like=result)
    if upper is not None:
        result["whole"] = upper
    if folder is not None:
        told = [settings["fusion"]] if "fusion" in settings else []
        told += ["+".join(chosen)] if modalities is not None else []
        told += [f"weights-{settings['weights'][:8]}"] if weights is not None else []
        told += [f"{option}-{Path(str(value)).name}" for option, value in apart.items() if value is not None]
        told += [select] if select != "last" else []
        told += ["as-published"] if as_published else []
        name = "-".join([rules.name, split, "+".join(settings["students"]), *told])
        (folder / "results").mkdir(exist_ok=True)
        write_json(folder / "results" / f"{name}.json", result)
        write_json(folder / "result.json", result)
    return result


def _counted(synthetic: SyntheticSet) -> dict[str, Any]:
    """What was counted, of real items under a budget in bytes."""
    told = synthetic.provenance.get("bytes")
    return {"counted": told["counted"]} if isinstance(told, dict) and "counted" in told else {}


def _refuse(rules: Protocol, given: Mapping[str, Any]) -> None:
    """Raises ConfigError on an option that the protocol would not listen to."""
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{rules.name} has no use for it", where=f"--{option}", hint=f"Leave --{option} out, or say --protocol."
            )


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
    return open_data(target) if synthetic is None else store_of(synthetic, data)


def _chosen(synthetic: SyntheticSet | None, store: PairedStore, names: Sequence[str] | None) -> tuple[str, ...]:
    """The modalities students see, in the set's order."""
    available = tuple(store.modalities if synthetic is None else synthetic.modalities)
    for name in names or ():
        if name not in available:
            raise ConfigError(f"no modality {name!r} here", where="--modalities", hint=nearest(name, available))
    if names is not None and not names:
        raise ConfigError("no modality is named", where="--modalities")
    refuse_repeats("--modalities", names or ())
    return available if names is None else tuple(name for name in available if name in names)


def _digest(path: Path) -> str:
    if not path.is_file():
        raise FormatError("there is no such file of weights", where=path, hint="--save-weights writes such files.")
    return digest_file(path)


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
