"""CFD and a Gaussian kernel's MMD of ONE class in the words of the papers, row after row; slow on purpose."""

from __future__ import annotations

import cmath
import math


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def phi(rows, t):
    """The empirical characteristic function at one frequency, a complex number."""
    return sum(cmath.exp(1j * dot(t, x)) for x in rows) / len(rows)


def squared(x, y, frequencies):
    return sum(abs(phi(x, t) - phi(y, t)) ** 2 for t in frequencies) / len(frequencies)


def parts(x, y, t):
    p, q = phi(x, t), phi(y, t)
    return (abs(p) - abs(q)) ** 2, 2 * (abs(p) * abs(q) - p.real * q.real - p.imag * q.imag)


def root(x, y, frequencies, alpha=0.5, beta=0.5):
    total = 0.0
    for t in frequencies:
        amplitude, phase = parts(x, y, t)
        total += math.sqrt(alpha * amplitude + beta * max(phase, 1e-12))
    return total / len(frequencies)


def mmd(x, y, sigmas):
    def k(a, b):
        square = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        return sum(math.exp(-square / (2 * s**2)) for s in sigmas)

    def mean(left, right):
        return sum(k(a, b) for a in left for b in right) / (len(left) * len(right))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def median_distance(rows):
    found = sorted(math.dist(a, b) for i, a in enumerate(rows) for b in rows[:i])
    return found[(len(found) - 1) // 2]
