"""The real set that a synthetic one was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.errors import DataError

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.synthetic.set import SyntheticSet

__all__ = ["store_of"]


def store_of(synthetic: SyntheticSet, data: str | Path | PairedStore | None = None) -> PairedStore:
    """The real set that ``synthetic`` was made from, or the one that is named, whatever it is.

    Raises:
        DataError: the set does not say what it was made from, or that is not there, or has changed since.
        LimbeckError: of the kind that says why ``data`` cannot be opened.
    """
    from limbeck.data import EMBEDDED, open_data

    if data is not None:
        return open_data(data)
    made_from = synthetic.provenance.get("data")
    told = made_from if isinstance(made_from, Mapping) else {}
    path = str(told.get("path") or "")
    if not path:
        raise DataError("the set does not say what it was made from", hint="Say where its data is with --data.")
    if path not in EMBEDDED and not Path(path).exists():
        raise DataError(
            f"the data this set was made from is not here ({path!r})",
            hint="Go where that path leads to it, or say where it is with --data, where a command takes that.",
        )
    store = open_data(path)
    if store.data_hash != told.get("hash"):
        raise DataError(
            "the data has changed since the set was made from it",
            where=store.path,
            hint="Say --data to use it all the same, where a command takes that.",
        )
    return store
