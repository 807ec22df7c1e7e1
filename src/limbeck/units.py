"""Numbers with units, for people."""

from __future__ import annotations

__all__ = ["scaled", "size"]


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
