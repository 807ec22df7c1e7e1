"""The dictionary of patches of a real set: whitening, spherical k-means, and the constants that standardise responses.

From the split it is given alone, without labels or captions; the same on every run (Coates, Ng and Lee 2011).
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.banks.folder import found_folder, holds, read_tensors, write_tensors
from limbeck.banks.turns import take_turns
from limbeck.data import cache_root
from limbeck.encoders import Weights
from limbeck.encoders.patches import PatchDictionary, contrast_normalised
from limbeck.progress import Progress
from limbeck.rng import key, stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limbeck.data.pairs import Pairs

__all__ = ["DICTIONARY", "DictionaryRecipe", "dictionary_for", "patch_dictionary"]


@dataclass(frozen=True)
class DictionaryRecipe:
    """How a dictionary is fitted.

    Args:
        atoms: K.
        items, patches: looked at, at most.
        whitening: added to the variances that whitening divides by.
        threshold: what a response of atoms of unit length must be above.
        rounds: of k-means.
    """

    version: int = 1
    atoms: int = 200
    items: int = 4000
    patches: int = 40_000
    whitening: float = 0.1
    threshold: float = 0.25
    rounds: int = 25


DICTIONARY = DictionaryRecipe()
"""[choice, by the validation split: docs/image_text.md]"""
CHUNK = 64
"""Items read at once."""


def dictionary_for(pairs: Pairs, name: str) -> PatchDictionary:
    """The dictionary that one spatial modality of ``pairs`` gets; a tiny set has fewer atoms.

    Raises ConfigError where its items are smaller than a few patches.
    """
    channels, height, width = pairs.modalities[name].shape
    encoder = PatchDictionary(channels, height, width, DICTIONARY.atoms)
    places = math.prod(n - encoder.side + 1 for n in (height, width))
    return dataclasses.replace(encoder, atoms=min(encoder.atoms, len(pairs.items) * places))


def patch_dictionary(pairs: Pairs, name: str, *, progress: bool = False) -> Weights:
    """Weights of :func:`dictionary_for`, fitted where they are not in the cache.

    Raises:
        ConfigError: items that are too small, or a cache that cannot be written. FormatError: the file is damaged.
    """
    encoder = dictionary_for(pairs, name)
    settings = {
        "patches": dataclasses.asdict(DICTIONARY),
        "encoder": encoder.id,
        "data": pairs.store.data_hash,
        "items": hashlib.sha256(pairs.items.tobytes()).hexdigest(),
        "modality": pairs.modalities[name].to_dict(),
    }
    folder, _ = found_folder(cache_root() / "banks", settings, {"torch": torch.__version__})
    file = folder / "dictionary.safetensors"

    def work(_: Any) -> None:
        with Progress(f"patches of {name}", 3, shown=progress) as bar:
            write_tensors(file, _fitted(pairs, name, encoder, bar), {"encoder": encoder.id})

    take_turns(1, folder=folder / "locks", missing=lambda _: not holds(file, encoder.shapes, torch.float32), work=work)
    return read_tensors(file, encoder.shapes, torch.float32)[0]


@torch.no_grad()
def _fitted(pairs: Pairs, name: str, encoder: PatchDictionary, bar: Progress) -> Weights:
    sample = torch.randperm(len(pairs.items), generator=stream(0, "patches", "items"))[: DICTIONARY.items]
    sample = sample.sort().values
    patches = torch.cat(list(_patches(pairs, name, sample, encoder))).double()
    bar.update(1, {}, 0)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    whitening = vectors * (values.clamp(min=0) + DICTIONARY.whitening).rsqrt() @ vectors.T
    atoms = _spherical(F.normalize((patches - mean) @ whitening, dim=1), encoder.atoms)
    bar.update(2, {}, 0)
    weights = {
        "filters": (atoms @ whitening).float(),
        "offset": (atoms @ (whitening @ mean) + DICTIONARY.threshold).float(),
    }
    responses = torch.cat([encoder.pooled(weights, x) for x in _values(pairs, name, sample)]).double()
    deviation = responses.std(0, correction=0)
    weights["mean"] = responses.mean(0).float()
    weights["scale"] = torch.where(deviation > 1e-4, 1 / deviation, 1.0).float()
    bar.update(3, {}, 0)
    return weights


def _patches(pairs: Pairs, name: str, sample: Tensor, encoder: PatchDictionary) -> Iterator[Tensor]:
    """As many patches of every item, at random places, (n, P)."""
    generator = stream(0, "patches", "places")
    each = math.ceil(DICTIONARY.patches / len(sample))
    for x in _values(pairs, name, sample):
        for all_places in F.unfold(x, encoder.side).mT:
            places = torch.randperm(len(all_places), generator=generator)[:each]
            yield contrast_normalised(all_places[places], encoder.contrast)


def _values(pairs: Pairs, name: str, sample: Tensor) -> Iterator[Tensor]:
    """Items of ``sample``, (n, C, H, W)."""
    read = pairs.firsts if name == pairs.first else pairs.seconds
    return (read(np.asarray(some)) for some in sample.split(CHUNK))


def _spherical(points: Tensor, clusters: int) -> Tensor:
    """(n, P) of unit length -> (K, P) directions of the clusters' means, the same for any number of threads."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    means = KMeans(
        clusters, init="random", n_init=1, max_iter=DICTIONARY.rounds, random_state=key(0, "patches") % 2**32
    )
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of pictures with fewer different patches than atoms
        means.fit(points.float().numpy())
    return F.normalize(torch.from_numpy(means.cluster_centers_).double(), dim=1)
