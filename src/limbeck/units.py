"""Numbers with units, for people."""

from __future__ import annotations

__all__ = ["duration", "scaled", "size"]


def scaled(count: float) -> tuple[str, str]:
    """A number of bytes as digits and unit: (``"1.2"``, ``"MB"``)."""
    if count < 1000:
        return f"{count:.0f}", "B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f}", unit
    return f"{count / 1000:.1f}", "TB"


def size(count: float) -> str:
    """A number of bytes: ``"1.2 MB"``."""
    return " ".join(scaled(count))


def duration(seconds: float) -> str:
    """Seconds: ``"0.02 s"``, ``"1.4 s"``, ``"90 s"``, ``"45 min"``, ``"3.2 h"``."""
    if 0 < seconds < 0.1:
        return f"{seconds:.1g} s"
    if seconds < 120:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
