"""Decoded sound as numbers: one channel, another rate."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["mono", "resample"]

Array = np.ndarray[Any, Any]


def mono(frame: Any, *, first: bool = False) -> Array:
    """Mean over the channels of a decoded frame, or the ``first`` of them; full scale = 1, (samples,) float32."""
    raw = frame.to_ndarray()
    channels = frame.layout.nb_channels
    values = raw if frame.format.is_planar else raw.reshape(-1, channels).T
    if first:
        values = values[:1]
    if values.dtype.kind == "u":
        values = (values.astype(np.float32) - 128) / 128
    elif values.dtype.kind == "i":
        values = values.astype(np.float64) / float(1 << (8 * values.dtype.itemsize - 1))
    mean: Array = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def resample(source: Array, old: int, new: int) -> Array:
    """(n,) float32 at ``old`` hertz -> at ``new``. Raises FFmpegError where there is no such rate."""
    import av

    if old == new:
        return source
    resampler = av.AudioResampler(format="flt", layout="mono", rate=new)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(source[None]), format="flt", layout="mono")
    frame.sample_rate = old
    parts = [f.to_ndarray()[0] for f in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
