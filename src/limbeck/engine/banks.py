"""The banks of a real set as stages of their own: `limbeck bank`. A run that needs one finds it there."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from limbeck.banks.projection import Kind
from limbeck.data import open_data
from limbeck.encoders.build import fitting_channels
from limbeck.encoders.machine import choose_device
from limbeck.engine.settings import chosen_modalities
from limbeck.errors import ConfigError, nearest

if TYPE_CHECKING:
    from limbeck.banks.pretrained import PretrainedBank
    from limbeck.data.store import PairedStore
    from limbeck.encoders import Precision

__all__ = ["build_banks"]


def build_banks(
    data: str | Path | PairedStore,
    *,
    members: int = 40,
    decouplers: int = 4,
    modalities: Sequence[str] | None = None,
    channels: int | None = None,
    mapping: Kind = "mlp",
    hidden: int = 512,
    device: str = "auto",
    kernels: str = "auto",
    precision: Precision = "fp32",
    threads: int | None = None,
    at_once: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Train what is missing of the pretrained bank of a set and of its decouplers.

    Both can be stopped at any time and go on where they were. What a run of DAVDD with the same modalities, channels,
    precision, mapping and hidden width needs is then there.

    Args:
        data: a data set's name, a store's folder, or a store.
        members, decouplers: encoder pairs, and decouplers of each (40 and 4 in DAVDD; 0 decouplers for none).
        channels: of the ConvNets; what fits the set by default, as in a run.
        mapping, hidden: what a decoupler is.
        threads: of the CPU.
        at_once: members trained in one pass; one on a CPU and what fits on a GPU by default.

    Returns:
        JSON-ready: of both stages id, path, numbers, how many were missing, bytes; the members' validation accuracy.

    Raises:
        LimbeckError: of the kind that says what is wrong.
    """
    import torch

    from limbeck.banks.decoupler import DecouplerBank
    from limbeck.banks.pretrained import PretrainedBank
    from limbeck.encoders.fused import default_kernels

    told = {"members": members, "hidden": hidden, "threads": threads, "at_once": at_once, "channels": channels}
    for name, value in told.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}", hint="It is 1 or more.")
    if decouplers < 0:
        raise ConfigError(f"decouplers is {decouplers}", hint="It is 0 or more.")
    store, chosen = open_data(data), choose_device(device)
    names = chosen_modalities(store, None if modalities is None else tuple(modalities))
    if mapping not in get_args(Kind):
        raise ConfigError(f"unknown mapping {mapping!r}", where="--mapping", hint=nearest(mapping, get_args(Kind)))
    if decouplers and len(names) < 2:  # before the hours of the first stage
        raise ConfigError("decouplers need two modalities or more", hint="Use --decouplers 0.")
    if threads is not None:
        torch.set_num_threads(threads)
    bank = PretrainedBank.build(
        store,
        members=members,
        channels=channels or fitting_channels(store.modalities),
        modalities=modalities,
        device=chosen,
        kernels=default_kernels(chosen) if kernels == "auto" else kernels,  # type: ignore[arg-type]
        precision=precision,
        at_once=at_once,
        progress=progress,
    )
    about = {"data": {"name": store.name, "hash": store.data_hash}, "pretrained": _pretrained(bank)}
    if decouplers:
        made = DecouplerBank.build(
            store, bank, per_member=decouplers, kind=mapping, hidden=hidden, device=chosen, progress=progress
        )
        files = [made.file(m, t) for m in range(members) for t in range(decouplers)]
        about["decouplers"] = {
            "id": made.id,
            "path": str(made.path),
            "per_member": decouplers,
            "were_missing": made.were_missing,
            "bytes": _bytes(files),
        }
    return about


def _pretrained(bank: PretrainedBank) -> dict[str, Any]:
    scores = [bank.scores(m) for m in range(bank.members)]
    return {
        "id": bank.id,
        "path": str(bank.path),
        "encoders": {name: encoder.id for name, encoder in bank.encoders.items()},
        "members": bank.members,
        "were_missing": bank.were_missing,
        "bytes": _bytes([bank.file(m) for m in range(bank.members)]),
        "validation": {name: statistics.mean(s[name] for s in scores) for name in scores[0]},
        "scores": scores,
    }


def _bytes(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)
