"""The embedded default ``digits``: handwritten digits, each paired with the same digit spoken. No download.

The pictures are real: the 1797 handwritten digits that ship with scikit-learn (8 x 8, 17 grey levels; UCI optdigits,
test part, 13 writers). The sound is synthetic: eSpeak NG (see :mod:`limbeck.data.speech`), with a voice, speed, pitch,
onset, level and room noise of its own for every item, so that picture and sound share the digit and nothing else.

What the splits share: **voices are disjoint** (:data:`VOICES`), the five accents are not. **Writers** are not recorded;
items are split in the order of the file, which seems to go writer by writer, so that validation and test are mostly
other hands than train, but a writer may reach across a border.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data.speech import ACCENTS, Utterance, speak
from limbeck.errors import DataError
from limbeck.modalities import Audio, Image
from limbeck.rng import numpy_stream

if TYPE_CHECKING:
    import numpy as np

    from limbeck.data.store import PairedStore

__all__ = ["CAPTIONS", "WORDS", "open_digits"]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CAPTIONS = tuple(f"a handwritten {word}" for word in WORDS)

VOICES = {
    "train": ("m1", "m2", "m3", "m4", "f1", "f2", "f3"),
    "validation": ("m5", "m6", "f4"),
    "test": ("m7", "f5"),
}
"""Voice qualities of each split: no voice speaks in two of them."""

RECIPE: dict[str, Any] = {
    "version": 1,
    "image_size": 16,
    "resize": "bicubic from 8 x 8",
    "sample_rate": 11_025,
    "n_fft": 512,
    "hop": 256,
    "mels": 32,
    "frames": 32,
    "rate_words_a_minute": [150, 220],
    "pitch": [30, 70],
    "range": [30, 70],
    "level_db": [-12.0, 0.0],
    "signal_to_noise_db": [20.0, 35.0],
    "held_out_per_class": 30,
    "voices": VOICES,
    "accents": ACCENTS,
    "seed": 0,
}
"""Everything the set is made of; part of the folder's name and of the store's settings."""


def open_digits(path: str | Path | None = None) -> PairedStore:
    """The embedded set: built once, opened from then on.

    Args:
        path: the store's folder; by default one in the cache, named after the recipe.

    Returns:
        1797 pairs, ``image`` (1, 16, 16) and ``audio`` (1, 32, 32), ten classes, 300 items each in validation and test.

    Raises:
        MissingDependencyError: if it has to be built and the speech engine is not installed.
        DataError: if another process holds the build for longer than ten minutes.
        FormatError: if the folder holds something else or is damaged.
    """
    from filelock import FileLock, Timeout

    from limbeck.data import cache_root
    from limbeck.data.store import PairedStore

    folder = Path(path) if path is not None else cache_root() / f"digits-v{RECIPE['version']}-{_recipe_hash()}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(folder.with_name(folder.name + ".lock"), timeout=600):
                if not folder.exists():  # another process may have built it while this one waited
                    return _build(folder)
        except Timeout as error:
            raise DataError("another process has been building this set for ten minutes", where=folder) from error
    return PairedStore.open(folder)


def _recipe_hash() -> str:
    return hashlib.sha256(json.dumps(RECIPE, sort_keys=True).encode()).hexdigest()[:10]


def _build(folder: Path) -> PairedStore:
    from limbeck.data.writer import StoreWriter

    labels, pictures = _handwriting()
    splits = _splits(labels)
    script = _script(labels, splits)
    spectrograms, spoken_hash = _sound(script)
    modalities = [Image(shape=(1, RECIPE["image_size"], RECIPE["image_size"])), _audio()]
    # The hash says which sound this store holds. Another processor may round differently: it is recorded, not enforced.
    settings = {**json.loads(json.dumps(RECIPE)), "speech": "eSpeak NG", "speech_sha256": spoken_hash}
    writer = StoreWriter(
        folder,
        name="digits",
        modalities=modalities,
        classes=WORDS,
        settings=settings,
        capacity=len(labels),
        resume=False,  # made anew in seconds
    )
    for row, label in enumerate(labels.tolist()):
        writer.write(
            row,
            id=f"{row:04d}-{script[row].voice}",
            label=label,
            split=splits[row],
            captions=(CAPTIONS[label],),
            arrays={"image": pictures[row], "audio": spectrograms[row]},
        )
    return writer.finish()


def _handwriting() -> tuple[np.ndarray, np.ndarray]:
    """(N,) labels and (N, 1, 16, 16) uint8 pictures, in the file's order."""
    import numpy as np
    from PIL import Image as Picture
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    grey = np.round(small.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    size = (RECIPE["image_size"],) * 2
    large = [np.asarray(Picture.fromarray(item).resize(size, Picture.Resampling.BICUBIC)) for item in grey]
    return labels.astype(np.int64), np.stack(large)[:, None]


def _splits(labels: np.ndarray) -> list[str]:
    """Of each class, in the file's order: train first, then 30 for validation, then 30 for test."""
    import numpy as np

    held_out = RECIPE["held_out_per_class"]
    splits = np.full(len(labels), "train", dtype=object)
    for digit in range(len(WORDS)):
        rows = np.flatnonzero(labels == digit)
        splits[rows[-2 * held_out : -held_out]] = "validation"
        splits[rows[-held_out:]] = "test"
    return [str(split) for split in splits]


def _script(labels: np.ndarray, splits: list[str]) -> list[Utterance]:
    """Who says what, and how. Draws do not depend on the label, so the manner of speaking tells nothing about it."""
    draw = numpy_stream(RECIPE["seed"], "digits", "voices")

    def one(split: str, label: int) -> Utterance:
        accent = ACCENTS[draw.integers(len(ACCENTS))]
        quality = VOICES[split][draw.integers(len(VOICES[split]))]
        rate, pitch, span = (int(draw.integers(*RECIPE[key])) for key in ("rate_words_a_minute", "pitch", "range"))
        return Utterance(WORDS[label], f"{accent}+{quality}", rate, pitch, span)

    return [one(split, label) for split, label in zip(splits, labels.tolist(), strict=True)]


def _audio() -> Audio:
    return Audio(
        shape=(1, RECIPE["mels"], RECIPE["frames"]),
        sample_rate=RECIPE["sample_rate"],
        n_fft=RECIPE["n_fft"],
        hop=RECIPE["hop"],
    )


def _sound(script: list[Utterance]) -> tuple[np.ndarray, str]:
    """(N, 1, mels, frames) half decibel, and the hash of the sound as the engine spoke it."""
    import numpy as np
    import torch

    spoken, rate = speak(script)
    digest = hashlib.sha256(b"".join(samples.tobytes() for samples in spoken)).hexdigest()
    audio = _audio()
    draw = numpy_stream(RECIPE["seed"], "digits", "rooms")
    recorded = np.stack([_record(samples, rate, audio, draw) for samples in spoken])
    return audio.to_stored(audio.spectrogram(torch.from_numpy(recorded))).numpy(), digest


def _record(spoken: np.ndarray, rate: int, audio: Audio, draw: np.random.Generator) -> np.ndarray:
    """One utterance as a microphone in a room would hear it: resampled, trimmed, placed, at some level, over noise.

    Digital silence would stand at -100 dB and own the store's mean and deviation; a room never is that silent.
    """
    import numpy as np
    from scipy.signal import resample_poly

    ratio = np.gcd(rate, audio.sample_rate)
    voice = resample_poly(spoken / 32768.0, audio.sample_rate // ratio, rate // ratio)
    loud = np.flatnonzero(np.abs(voice) > 0.02 * np.abs(voice).max())
    voice = voice[loud[0] : loud[-1] + 1][: audio.samples]
    voice = voice / np.abs(voice).max() * 0.7 * 10 ** (draw.uniform(*RECIPE["level_db"]) / 20)
    start = draw.integers(audio.samples - len(voice) + 1)
    power = np.mean(voice**2) * 10 ** (-draw.uniform(*RECIPE["signal_to_noise_db"]) / 10)
    room = _room_noise(audio.samples, draw)
    sound = room * np.sqrt(power / np.mean(room**2))
    sound[start : start + len(voice)] += voice
    return np.asarray(sound, np.float32)


@lru_cache(maxsize=4)
def _pink(samples: int) -> np.ndarray:
    import numpy as np

    return np.asarray(1 / np.sqrt(np.maximum(np.arange(samples // 2 + 1), 20)))


def _room_noise(samples: int, draw: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with frequency, as a quiet room's does."""
    import numpy as np

    spectrum = np.fft.rfft(draw.standard_normal(samples)) * _pink(samples)
    return np.asarray(np.fft.irfft(spectrum, samples))
