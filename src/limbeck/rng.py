"""Random streams that are a function of their name, so that no draw depends on what was drawn before it.

``stream(seed, "real", step, c)`` is the same whether the run was resumed, sharded or reordered, and two names never
share numbers. Nothing in Limbeck touches a global generator.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["key", "numpy_stream", "stream"]

Name = str | int


def key(seed: int, *names: Name) -> int:
    """A 63-bit number that stands for (seed, names): equal names, equal number; nothing else collides in practice."""
    text = "\x1f".join([f"i{seed}", *(f"{'i' if isinstance(n, int) else 's'}{n}" for n in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def stream(seed: int, *names: Name, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator for the stream called ``names`` under ``seed``.

    Index and augmentation draws use the CPU on every machine, so that they are the same numbers everywhere.
    """
    import torch

    return torch.Generator(device=device).manual_seed(key(seed, *names))


def numpy_stream(seed: int, *names: Name) -> np.random.Generator:
    """The same for NumPy (Philox, counter-based)."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=key(seed, *names)))
