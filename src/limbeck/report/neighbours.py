"""The real item that looks and sounds most like a distilled one: what was copied, what was blended, what is new."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import DataError, LimbeckError
from limbeck.modalities import Modality, Text
from limbeck.synthetic.factor import decode
from limbeck.synthetic.origin import store_of

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.data.store import PairedStore
    from limbeck.synthetic import SyntheticSet

__all__ = ["Near", "Neighbours", "nearest_items"]

CHUNK = 4_000_000
"""Values of real items that are held at once (16 MB)."""
PRODUCTS, VALUES = 1.5e11, 1e9
"""Multiplications, and values read, that a page is worth: some ten seconds on one core. Beyond them every so manieth
real item is looked at."""

Array = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Near:
    """A real item: its id in the store, its class ("" without), and how far it is.

    Args:
        distance: root of the mean squared difference of normalised values; each modality counts the same.
        began: the decoded item began as this one.
    """

    name: str
    label: str
    distance: float
    began: bool = False


@dataclass(frozen=True)
class Neighbours:
    """Of each item the nearest real one of each of its cells, in the order of :func:`limbeck.synthetic.factor.decode`.

    Args:
        found: by item and cell; empty where they cannot be told.
        values: per modality (items * cells, *shape), normalised as the set's are.
        note: a sentence on what was not looked at, or why nothing was; else empty.
    """

    found: list[list[Near]] = field(default_factory=list)
    values: dict[str, Tensor] = field(default_factory=dict)
    note: str = ""


def nearest_items(synthetic: SyntheticSet, rows: Sequence[int]) -> Neighbours:
    """The nearest items of the training split to each cell of the items ``rows``.

    Text is not compared, for which there are captions. The real set is read in chunks, whatever its size. A set that
    was not distilled has no neighbours.
    """
    shown = {n: m for n, m in synthetic.modalities.items() if not isinstance(m, Text)}
    if not shown or synthetic.provenance.get("steps_done") == 0:
        return Neighbours()
    try:
        store = store_of(synthetic)
        _check(shown, store)
        items = np.asarray(store.rows("train"), dtype=np.int64)
    except (LimbeckError, OSError) as error:
        reason = error.what if isinstance(error, LimbeckError) else str(error)
        return Neighbours(note=f"The real items nearest to these cannot be shown here ({reason}).")
    items = items[store.labels[items] >= 0] if synthetic.labels is not None else items.copy()
    own = _joined({n: _decoded(synthetic.values[n][list(rows)], synthetic.factor) for n in shown})
    step = _stride(len(items), *own.shape)
    best, far = _nearest(own, store, shown, items[::step])
    cells = synthetic.factor**2
    began = _began(synthetic, rows, cells)
    near = [
        Near(
            name := str(store.ids[row]),
            store.classes[label] if (label := int(store.labels[row])) >= 0 else "",
            distance,
            name == began[k],
        )
        for k, (row, distance) in enumerate(zip(best.tolist(), far, strict=True))
    ]
    return Neighbours(
        [near[k : k + cells] for k in range(0, len(near), cells)],
        {n: m.normalise(store.stored(n, best)) for n, m in shown.items()},
        f"One in {step} of the {len(items):,} real items was compared with these." if step > 1 else "",
    )


def _check(shown: Mapping[str, Modality], store: PairedStore) -> None:
    for name, own in shown.items():
        other = store.modalities.get(name)
        if other is None or other.with_statistics(own.mean, own.std) != own:
            raise DataError(f"the real set's {name} is another", where=store.path)


def _decoded(stored: Tensor, factor: int) -> Tensor:
    """(n * l * l, *shape), the cells of an item after one another."""
    return decode(stored.detach().cpu().float(), factor).transpose(0, 1).flatten(0, 1)


def _joined(batch: Mapping[str, Tensor]) -> Tensor:
    """Items as vectors whose squared distance is the mean over modalities of the mean squared difference."""
    import torch

    return torch.cat([x.flatten(1) / math.sqrt(x[0].numel() * len(batch)) for x in batch.values()], 1)


def _stride(real: int, own: int, width: int) -> int:
    return max(1, math.ceil(real * width * own / PRODUCTS), math.ceil(real * width / VALUES))


def _nearest(own: Tensor, store: PairedStore, shown: Mapping[str, Modality], items: Array) -> tuple[Array, list[float]]:
    """Rows of the store, the first of equals, and distances, for each of (n, D) vectors."""
    import torch

    smallest = torch.full((len(own),), torch.inf)
    found = torch.zeros(len(own), dtype=torch.int64)
    each = max(1, CHUNK // own.shape[1])
    for start in range(0, len(items), each):
        rows = items[start : start + each]
        real = _joined({name: m.normalise(store.stored(name, rows)) for name, m in shown.items()})
        # the square of own is the same for all
        square, place = (real.square().sum(1) - 2 * own @ real.T).min(1)
        nearer = square < smallest
        smallest = torch.where(nearer, square, smallest)
        found = torch.where(nearer, torch.from_numpy(rows)[place], found)
    best: Array = found.numpy()
    far = []
    for start in range(0, len(own), each):
        rows = best[start : start + each]
        real = _joined({name: m.normalise(store.stored(name, rows)) for name, m in shown.items()})
        far += (own[start : start + each] - real).norm(dim=1).tolist()
    return best, far


def _began(synthetic: SyntheticSet, rows: Sequence[int], cells: int) -> list[str | None]:
    """Names of the real items that the cells of ``rows`` began as; None where the set does not say."""
    told = synthetic.provenance.get("real_items")
    names: list[str | None] = []
    for row in rows:
        item = told[row] if isinstance(told, list) and len(told) == len(synthetic) else None
        item = [item] if isinstance(item, str) else item
        names += item if isinstance(item, list) and len(item) == cells else [None] * cells
    return names
