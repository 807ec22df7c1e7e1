"""Bytes with a scale and an offset, one number after the other; slow on purpose."""

from __future__ import annotations

import struct


def single(x):
    """As float32 has it."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def keep(numbers):
    """Of one item and channel: (codes, scale, offset)."""
    low, high = min(numbers), max(numbers)
    scale = single((high - low) / 255)
    codes = [0 if scale == 0 else min(255, max(0, round((x - low) / scale))) for x in numbers]
    return codes, scale, low


def stand_for(codes, scale, offset):
    return [single(code * scale + offset) for code in codes]
