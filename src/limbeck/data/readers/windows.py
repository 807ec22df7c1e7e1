"""Many windows of one video: where they lie, and which of them are decoded in one pass."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["PART", "windows"]

PART = 64
"""Windows decoded in one pass at most (11 MB of pictures and sound): a long video is shared by several workers, and
work that is killed loses no more than these."""


def windows(start: float, end: float, length: float) -> Iterator[tuple[float, float, float]]:
    """(start, end, begin) in seconds of each whole window from ``start`` to ``end``, without overlap; ``begin``: where
    the pass starts that decodes it."""
    for k in range(int((end - start) / length + 1e-9)):
        yield start + k * length, start + (k + 1) * length, start + k // PART * PART * length
