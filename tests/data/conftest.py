"""Small media files whose content is known."""

from __future__ import annotations

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STEP = 8
"""Brightness of frame i is 16 + 8 i."""


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray[Any, Any]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_clip(
    path: Path,
    *,
    seconds: float = 1.0,
    fps: int = 25,
    hertz: float = 1000.0,
    rate: int = 16_000,
    video: bool = True,
    audio: bool = True,
    level: float = 1.0,
) -> Path:
    """An H.264 (or MPEG-4) + AAC clip: frame i has the brightness 16 + 8 i, the sound is a sine."""
    import av

    with av.open(str(path), "w") as container:
        if video:
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.gop_size = 10
        if audio:
            sound = container.add_stream("aac", rate=rate, layout="mono")
        if video:
            for i in range(round(seconds * fps)):
                picture = np.full((48, 64, 3), 16 + STEP * i % 240, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        if audio:
            samples = level * tone(hertz, seconds, rate)
            for start in range(0, len(samples), 1024):
                part = np.ascontiguousarray(samples[None, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                container.mux(sound.encode(frame))
            container.mux(sound.encode())
    return path


def write_wav(path: Path, samples: np.ndarray[Any, Any], rate: int = 8000) -> Path:
    """16-bit WAV of (n,) or (n, channels) numbers in -1..1."""
    values = np.atleast_2d(samples.T).T
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((values * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture(scope="session")
def wav() -> Callable[..., Path]:
    return write_wav


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's real data beside the checkout."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("shared data not present")
    return folder
