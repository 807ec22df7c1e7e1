"""The set before the first step: real items, packed by the factor, or real pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from limbeck.data.shipped import Shipped
from limbeck.engine.evidence import TrainedEvidence
from limbeck.engine.initial_bytes import rows_within
from limbeck.engine.settings import NOISE, chosen_modalities
from limbeck.errors import ConfigError
from limbeck.rng import stream
from limbeck.selection import select
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.factor import encode

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.engine.numerics import Numerics
    from limbeck.engine.paired import Paired
    from limbeck.engine.settings import RunSettings
    from limbeck.modalities import Modality

__all__ = ["initial_set"]


def initial_set(
    store: PairedStore,
    settings: RunSettings,
    numerics: Numerics,
    provenance: Mapping[str, Any],
    *,
    options: Mapping[str, Any] | None = None,
    progress: bool = False,
    paired: Paired | None = None,
    pairs: int | None = None,
) -> SyntheticSet:
    """Choose real items and pack them: of l*l*n picks a class, the first n go top-left, the next bottom-left, and so
    on. A run by pairs chooses pairs, :func:`limbeck.engine.initial_pairs.initial_pairs`.

    Args:
        options: of the selection, ``Method.selection_options``.
        paired: of a run by pairs; None for all others.
        pairs: how many, where the method holds fewer than the budget says.
    """
    if pairs is not None:
        settings = dataclasses.replace(settings, pairs=pairs)
    if paired is not None:
        from limbeck.engine.initial_pairs import initial_pairs

        count = settings.pairs or 0
        return initial_pairs(paired, settings, numerics, provenance, count, options=options, progress=progress)
    modalities = chosen_modalities(store, settings.modalities)
    budget = settings.budget
    by_class = budget.by_class(len(store.classes))
    if by_class and not store.classes:
        raise ConfigError("this set has no classes", where=store.path, hint="Use --pairs.")
    if settings.init == NOISE:
        return _noise(store, settings, modalities, provenance)
    budget.check(store, settings.factor)
    cells, n = settings.factor**2, settings.per_class or settings.pairs or 0

    evidence = TrainedEvidence(store, modalities, settings, numerics, progress=progress)
    picks = select(
        settings.init, store, n * cells or len(store.rows("train")),
        by_class=by_class, seed=settings.seed, evidence=evidence, options=options,
    )  # fmt: skip
    if budget.bytes is not None:
        picks, told = rows_within(picks, Shipped(store, modalities), budget.bytes, settings.seed)
        order, provenance = np.concatenate(picks)[None], {**provenance, "bytes": told}
    else:
        # (groups, l*l, n) -> cell first, so that item i of a group holds picks i, n + i, 2n + i, ...
        order = np.stack([p.reshape(cells, n) for p in picks]).transpose(1, 0, 2).reshape(cells, -1)
    values = {}
    for name, modality in modalities.items():
        parts = torch.stack([store.batch(name, rows) for rows in order])
        values[name] = encode(parts, settings.factor) if modality.spatial else parts[0].clone()
    items = order.T  # (N, l*l)
    captions = [tuple(tuple(store.captions[row]) for row in rows) for rows in items]
    # pairs are drawn over all classes, so that the cells of an item may be of several, or of none
    labelled = by_class or (bool(store.classes) and cells == 1 and bool((store.labels[items] >= 0).all()))
    return SyntheticSet(
        modalities=modalities,
        values=values,
        labels=torch.from_numpy(store.labels[items[:, 0]].copy()) if labelled else None,
        classes=store.classes if labelled else (),
        captions=captions if any(any(item) for item in captions) else None,
        factor=settings.factor,
        provenance={**provenance, "real_items": [[store.ids[row] for row in rows] for rows in items]},
    )


def _noise(
    store: PairedStore, settings: RunSettings, modalities: Mapping[str, Modality], provenance: Mapping[str, Any]
) -> SyntheticSet:
    each = settings.per_class or 0  # the plan has refused pairs
    count = each * len(store.classes)
    return SyntheticSet(
        modalities=dict(modalities),
        values={
            name: torch.randn(count, *m.shape, generator=stream(settings.seed, "noise", name))
            for name, m in modalities.items()
        },
        labels=torch.arange(len(store.classes)).repeat_interleave(each),
        classes=store.classes,
        captions=None,
        factor=settings.factor,
        provenance=dict(provenance),
    )
