"""Whether a modality says the class outright, as the name of a scene does: such a score is none of recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.modalities import Modality

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["TOLD", "leak_of", "says_the_class"]

TOLD = "text_is_label"
"""The setting by which a store says so itself."""
ALIKE = 1e-3
"""How far apart a class's values may be, by the distance of the two nearest classes: rounding of one value."""
CHUNK = 1 << 14
Array = np.ndarray[Any, np.dtype[np.float64]]


def leak_of(store: PairedStore, columns: Mapping[str, Modality], metrics: Sequence[str]) -> dict[str, Any] | None:
    """What to tell of a score whose students see a modality that says the class; None where there is none.

    Args:
        metrics: of the score, such as "fused", "depth", "text".

    Returns:
        JSON-ready: ``modality``; ``headline``, the metric that stands for recognition, None where the score has none;
        and ``sentence``, which says both.
    """
    found = next((n for n, m in columns.items() if not m.spatial and says_the_class(store, n)), None)
    if found is None:
        return None
    others = [name for name in columns if name != found]
    headline = next((name for name in others if name in metrics), None)
    read = " and ".join(repr(m) for m in metrics if m in (found, "fused"))
    said = f"{found!r} is a function of the class, so {read} read the label" if read else f"{found!r} is the label"
    if headline is not None:
        said += f"; {headline!r} is the score of recognition."
    elif others:
        said += f"; --modalities {','.join(others)} scores recognition."
    else:
        said += "; nothing here is a score of recognition."
    return {"modality": found, "headline": headline, "sentence": said}


def says_the_class(store: PairedStore, name: str) -> bool:
    """Whether vectors are the same for all items of a class and differ between classes, or the store says they are the
    label's. Where no class has two items, nothing can be said."""
    if store.settings.get(TOLD) and "text" in (name, store.modalities[name].kind):
        return True
    labels = np.asarray(store.labels)
    rows = np.flatnonzero(labels >= 0)
    present, first, counts = np.unique(labels[rows], return_index=True, return_counts=True)
    if len(present) < 2 or counts.max() < 2:
        return False
    values = _values(store, name, rows[first])
    gap = min(float(np.sqrt(np.square(values[k + 1 :] - values[k]).sum(1).min())) for k in range(len(values) - 1))
    place = np.searchsorted(present, labels[rows])
    return gap > 0 and all(
        float(np.sqrt(np.square(_values(store, name, rows[some]) - values[place[some]]).sum(1).max())) <= ALIKE * gap
        for some in np.split(np.arange(len(rows)), range(CHUNK, len(rows), CHUNK))
    )


def _values(store: PairedStore, name: str, rows: np.ndarray[Any, Any]) -> Array:
    found: Array = store.stored(name, rows).double().numpy()
    return found
