"""Generated paired sets with known answers: any mix of image, depth, audio, text and feature, difficulty to taste.

Every modality looks at the item through sixteen numbers a channel:
``pixels = offset + scale * B (c + difficulty * e)``, where c is the class's and e the item's, both standard normal. The
rows of B have unit length, so each pixel's noise has standard deviation ``scale * difficulty``. For spatial kinds B
interpolates a 4 x 4 grid (smooth patterns). Half of e's variance is shared by all modalities of an item, so that pairs
can be told from other items of their class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.meta import SPLITS
from limbeck.data.store import PairedStore
from limbeck.data.writer import StoreWriter
from limbeck.errors import ConfigError, nearest
from limbeck.modalities import Audio, Depth, Feature, Image, Modality, Text
from limbeck.rng import numpy_stream

__all__ = ["class_means", "make_toy", "open_toy"]

LATENT = 16
CHUNK = 512
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class _Scale:
    """In stored units: pixels are offset + scale * pattern, clipped to low..high."""

    offset: float
    scale: float
    low: float
    high: float


SCALES = {
    "image": _Scale(127.5, 40.0, 0.0, 255.0),
    "depth": _Scale(3000.0, 700.0, 0.0, 65535.0),
    "audio": _Scale(-40.0, 12.0, -100.0, 40.0),
    "text": _Scale(0.0, 1.0, -60000.0, 60000.0),
    "feature": _Scale(0.0, 1.0, -60000.0, 60000.0),
}


def toy_modalities(
    names: Sequence[str], *, image_size: int, mel: tuple[int, int], features: int, channels: int
) -> list[Modality]:
    """The modalities of a toy set by name."""
    known: dict[str, Modality] = {
        "image": Image(shape=(channels, image_size, image_size)),
        "depth": Depth(shape=(1, image_size, image_size)),
        "audio": Audio(shape=(1, *mel)),
        "text": Text(shape=(features,), embedding="toy"),
        "feature": Feature(shape=(features,)),
    }
    for name in names:
        if name not in known:
            raise ConfigError(f"no toy modality {name!r}", where="toy", hint=nearest(name, known))
    return [known[name] for name in names]


def _basis(modality: Modality, seed: int) -> Array:
    """B: (pixels a channel, 16) with rows of unit length."""
    if not modality.spatial:
        basis: Array = numpy_stream(seed, "toy", "basis", modality.name).standard_normal((modality.shape[0], LATENT))
    else:
        side = math.isqrt(LATENT)

        def hats(size: int) -> Array:
            # linear interpolation between `side` knots, the first and last at the borders
            at = np.linspace(0, side - 1, size)[:, None] if size > 1 else np.array([[(side - 1) / 2]])
            weights: Array = np.maximum(0, 1 - np.abs(at - np.arange(side)[None]))
            return weights

        basis = np.einsum("yi,xj->yxij", hats(modality.shape[1]), hats(modality.shape[2])).reshape(-1, LATENT)
    result: Array = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    return result


def _channels(modality: Modality) -> int:
    return modality.shape[0] if modality.spatial else 1


def _class_latents(modality: Modality, classes: int, seed: int) -> Array:
    """c: (classes, channels, 16); a class's numbers do not depend on how many classes there are."""
    draws = [
        numpy_stream(seed, "toy", "class", modality.name, k).standard_normal((_channels(modality), LATENT))
        for k in range(classes)
    ]
    return np.stack(draws)


def _mixing(modality: Modality, seed: int) -> Array:
    """(channels, 16, 16): how each channel sees the shared half of e; orthogonal, so it stays standard normal."""
    raw = numpy_stream(seed, "toy", "mixing", modality.name).standard_normal((_channels(modality), LATENT, LATENT))
    return np.stack([np.linalg.qr(m)[0] for m in raw])


def _items(modality: Modality, latents: Array, shared: Array, difficulty: float, seed: int, chunk: int) -> Array:
    """(n, *shape) in stored units, before rounding. ``latents``: (n, channels, 16), ``shared``: (n, 16)."""
    own = numpy_stream(seed, "toy", "items", modality.name, chunk).standard_normal(latents.shape)
    noise = math.sqrt(0.5) * (np.einsum("nl,clk->nck", shared, _mixing(modality, seed)) + own)
    patterns = (latents + difficulty * noise) @ _basis(modality, seed).T
    scale = SCALES[modality.kind]
    values: Array = np.clip(scale.offset + scale.scale * patterns, scale.low, scale.high)
    return values.reshape(len(latents), *modality.shape)


def _caption(label: int, number: int) -> str:
    return f"a toy of class {label}, number {number}"


def make_toy(
    path: str | Path,
    *,
    modalities: Sequence[str] = ("image", "audio"),
    classes: int = 4,
    per_class: tuple[int, int, int] = (20, 5, 5),
    image_size: int = 16,
    mel: tuple[int, int] = (16, 16),
    features: int = 16,
    difficulty: float = 0.5,
    seed: int = 0,
    captions: bool = True,
    channels: int = 3,
) -> PairedStore:
    """Generate a paired store whose class means are known (:func:`class_means`).

    Args:
        path: of the new store.
        modalities: any of image, depth, audio, text, feature, in the store's order.
        per_class: items of each class in train, validation, test.
        mel: (bands, frames) of the spectrogram; features: width of text and feature vectors.
        difficulty: noise over signal; at 0.5 classes lie far apart, at 3 they overlap.
        captions: one caption an item, "a toy of class k, number i".

    Raises ConfigError on sizes that make no set.
    """
    if classes < 1 or min(per_class) < 0 or sum(per_class) < 1 or difficulty < 0:
        raise ConfigError("a toy set needs a class, an item and a difficulty of at least 0", where="toy")
    kinds = toy_modalities(modalities, image_size=image_size, mel=mel, features=features, channels=channels)
    settings = {
        "source": "toy",
        "classes": classes,
        "per_class": list(per_class),
        "difficulty": difficulty,
        "seed": seed,
    }
    # rows in the order of (split, class): a class of a split is one stretch of the file
    counts = np.repeat(per_class, classes)
    labels = np.repeat(np.tile(np.arange(classes), len(SPLITS)), counts)
    splits = np.repeat(np.repeat(np.arange(len(SPLITS)), classes), counts)
    latents = {m.name: _class_latents(m, classes, seed) for m in kinds}
    with StoreWriter(
        path,
        name="toy",
        modalities=kinds,
        classes=[f"class {k}" for k in range(classes)],
        settings=settings,
        capacity=len(labels),
    ) as writer:
        for start in range(0, len(labels), CHUNK):
            block = labels[start : start + CHUNK]
            shared = numpy_stream(seed, "toy", "items", "shared", start).standard_normal((len(block), LATENT))
            arrays = {
                m.name: _rounded(_items(m, latents[m.name][block], shared, difficulty, seed, start), m) for m in kinds
            }
            for k, label in enumerate(block):
                row = start + k
                writer.write(
                    row,
                    id=f"toy{row:06d}",
                    label=int(label),
                    split=SPLITS[splits[row]],
                    captions=(_caption(int(label), row),) if captions else (),
                    arrays={name: values[k] for name, values in arrays.items()},
                )
        return writer.finish()


def _rounded(values: Array, modality: Modality) -> np.ndarray[Any, Any]:
    whole = np.dtype(modality.dtype).kind == "u"
    return (np.rint(values) if whole else values).astype(modality.dtype)


def class_means(
    modality: str,
    *,
    classes: int = 4,
    image_size: int = 16,
    mel: tuple[int, int] = (16, 16),
    features: int = 16,
    difficulty: float = 0.5,
    seed: int = 0,
    channels: int = 3,
) -> Array:
    """(classes, *shape) float64: the expected item of each class in stored units (0..255, millimetres, decibel).

    For X ~ N(m, s^2) clipped to [a, b] with alpha = (a - m)/s and beta = (b - m)/s:
    ``E = a Phi(alpha) + b (1 - Phi(beta)) + m (Phi(beta) - Phi(alpha)) + s (phi(alpha) - phi(beta))``.
    """
    (kind,) = toy_modalities([modality], image_size=image_size, mel=mel, features=features, channels=channels)
    scale = SCALES[kind.kind]
    patterns = _class_latents(kind, classes, seed) @ _basis(kind, seed).T
    mean: Array = scale.offset + scale.scale * patterns.reshape(classes, *kind.shape)
    std = scale.scale * difficulty
    if std == 0:
        return np.clip(mean, scale.low, scale.high)
    import torch

    def cdf(x: Array) -> Array:
        result: Array = torch.special.ndtr(torch.from_numpy(x)).numpy()
        return result

    def density(x: Array) -> Array:
        result: Array = np.exp(-0.5 * np.square(x)) / math.sqrt(2 * math.pi)
        return result

    low, high = (scale.low - mean) / std, (scale.high - mean) / std
    inside = mean * (cdf(high) - cdf(low)) + std * (density(low) - density(high))
    result: Array = scale.low * cdf(low) + scale.high * (1 - cdf(high)) + inside
    return result


def open_toy() -> PairedStore:
    """The default toy set, made on first use."""
    from filelock import FileLock

    from limbeck.data import cache_root

    path = cache_root() / "toy-1"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path) + ".make.lock"):  # several processes may ask for it at once
        return PairedStore.open(path) if path.exists() else make_toy(path)
