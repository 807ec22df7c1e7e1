"""DC's distance row by row in plain Python numbers: slow on purpose."""

from __future__ import annotations

import math

from torch import Tensor


def distance(real: dict[str, Tensor], synthetic: dict[str, Tensor]) -> float:
    total = 0.0
    for name, g in real.items():
        if g.dim() == 1:
            continue
        for o in range(len(g)):
            r, s = g[o].reshape(-1).tolist(), synthetic[name][o].reshape(-1).tolist()
            inner = norm_r = norm_s = 0.0
            for a, b in zip(r, s, strict=True):
                inner += a * b
                norm_r += a * a
                norm_s += b * b
            total += 1 - inner / (math.sqrt(norm_r) * math.sqrt(norm_s) + 0.000001)
    return total
