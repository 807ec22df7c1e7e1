"""Clips to try things on: three kinds of shapes that move, each with a sound of its own."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

KINDS = {"disc": 220.0, "square": 440.0, "stripes": 880.0}
"""By name of the class: hertz of its sound, give or take a third."""
SIZE, FPS, RATE, SECONDS = 64, 10, 16_000, 1.2


def make_clips(folder: Path, each: int, seed: int = 0) -> None:
    """Write ``each`` short clips of every kind, as ``<folder>/<kind>/<number>.mp4``: MPEG-4 video with AAC sound."""
    for kind, pitch in KINDS.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            draw = random.Random(f"{seed} {kind} {number}")
            write_clip(folder / kind / f"{number:03d}.mp4", frames(kind, draw), sound(pitch, draw))


def frames(kind: str, draw: random.Random) -> list[np.ndarray]:
    """(height, width, 3) uint8, a shape of any colour that drifts over a dark ground."""
    y, x = np.mgrid[:SIZE, :SIZE]
    colour = np.array([draw.randint(120, 255) for _ in range(3)])
    across, down, drift = draw.randint(20, 44), draw.randint(20, 44), draw.uniform(-1, 1)
    pictures = []
    for step in range(round(SECONDS * FPS)):
        left, up = x - across - drift * step, y - down
        inside = {
            "disc": left**2 + up**2 < 14**2,
            "square": np.maximum(abs(left), abs(up)) < 12,
            "stripes": np.floor((left + up) / 6) % 2 == 0,
        }[kind]
        pictures.append(np.where(inside[..., None], colour, 25).astype(np.uint8))
    return pictures


def sound(pitch: float, draw: random.Random) -> np.ndarray:
    """(samples,) float32: a tone with an overtone and some noise."""
    time = np.arange(round(SECONDS * RATE)) / RATE
    tone = 2 * math.pi * pitch * draw.uniform(0.75, 1.33) * time
    noise = np.random.default_rng(draw.getrandbits(32)).normal(0, 0.02, len(time))
    return (0.4 * np.sin(tone) + 0.1 * np.sin(2 * tone) + noise).astype(np.float32)


def write_clip(path: Path, pictures: list[np.ndarray], samples: np.ndarray) -> None:
    with av.open(path, "w") as file:
        video = file.add_stream("mpeg4", rate=FPS)
        video.width = video.height = SIZE
        video.pix_fmt = "yuv420p"
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        for picture in pictures:
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            file.mux(audio.encode(frame))
        for stream in (video, audio):
            file.mux(stream.encode(None))
