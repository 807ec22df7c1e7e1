"""Keeping the memory that torch frees on a CPU.

Activations of a few megabytes and more are mapped from the kernel and given back at once, so that each step pays for
every page again: half the time of a forward pass at 64 x 64. Told to keep them, the C library hands the same pages out
again.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Names that glibc's mallopt(3) knows."""
LARGEST = 1 << 30
"""Blocks above this are still given back at once."""


@cache
def keep_freed_memory() -> bool:
    """Ask the C library, for this process, to keep what is freed; False where it cannot be asked (only glibc can)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    # 2 GiB is the most that fits mallopt's int
    wanted = ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 64 << 20))
    return all(mallopt(name, value) == 1 for name, value in wanted)
