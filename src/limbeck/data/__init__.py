"""What the real set is: stores, the readers that make them, and generated sets with known answers.

``limbeck.data.prepare.prepare`` turns media into a store; :func:`open_data` opens one.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.errors import DataError, nearest

if TYPE_CHECKING:
    from limbeck.data.readers import READERS
    from limbeck.data.settings import PrepareSettings
    from limbeck.data.store import PairedStore
    from limbeck.data.writer import StoreWriter

__all__ = ["READERS", "PairedStore", "PrepareSettings", "StoreWriter", "cache_root", "open_data"]

_HOMES = {
    "READERS": "limbeck.data.readers",
    "PairedStore": "limbeck.data.store",
    "PrepareSettings": "limbeck.data.settings",
    "StoreWriter": "limbeck.data.writer",
}
EMBEDDED = ("digits", "rooms", "toy")
"""Sets that need no files of the user's: made on first use, kept under :func:`cache_root`."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def cache_root() -> Path:
    """Where what can be made again is kept: $LIMBECK_CACHE, else $XDG_CACHE_HOME/limbeck, else ~/.cache/limbeck."""
    own = os.environ.get("LIMBECK_CACHE")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "limbeck"


def open_data(ref: str | Path | PairedStore) -> PairedStore:
    """The store that ``ref`` means: an embedded set ("digits", "rooms", "toy"), a store's folder, or a store itself.

    Raises DataError where there is none, FormatError where it is damaged.
    """
    from limbeck.data.store import PairedStore

    if isinstance(ref, PairedStore):
        return ref
    if ref == "digits":
        # imported by name: the module is there only where the speech engine's helper is
        digits = importlib.import_module("limbeck.data.digits")
        store: PairedStore = digits.open_digits()
        return store
    if ref == "rooms":
        from limbeck.data.rooms import open_rooms

        return open_rooms()
    if ref == "toy":
        from limbeck.data.toy import open_toy

        return open_toy()
    if not Path(ref).exists() and not Path(f"{ref}.partial").exists():
        hint = f"Give a store's folder or an embedded set. {nearest(str(ref), EMBEDDED)}"
        raise DataError("no such data set or folder", where=ref, hint=hint)
    return PairedStore.open(ref)
