"""Pictures with one to three captions whose concept can be seen and read; sets made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck.data.pairs import Pairs
from limbeck.data.store import PairedStore
from limbeck.data.writer import StoreWriter
from limbeck.modalities import Image, Text
from limbeck.synthetic import SyntheticSet

WORDS = ("lion", "boat", "tree", "moon", "fish", "road", "lamp", "bell")
PHRASES = ("a {}", "the {} over there", "one old {}")
EACH = {"train": 3, "validation": 1, "test": 2}


def paired_store(path: Path, side: int = 8, each: dict[str, int] | None = None) -> PairedStore:
    """Items of eight concepts; the k-th item of the store has 1 + k % 3 captions."""
    rng = np.random.default_rng(0)
    looks = rng.uniform(0, 255, (len(WORDS), 3, side, side))
    rows = [(split, c) for split, n in (each or EACH).items() for _ in range(n) for c in range(len(WORDS))]
    modalities = [Image(shape=(3, side, side)), Text(shape=(4,), embedding="toy")]
    with StoreWriter(path, name="concepts", modalities=modalities, capacity=len(rows)) as writer:
        for k, (split, c) in enumerate(rows):
            seen = np.clip(looks[c] + rng.normal(0, 20, looks[c].shape), 0, 255).astype(np.uint8)
            arrays = {"image": seen, "text": rng.normal(size=4).astype(np.float16)}
            captions = tuple(f"{phrase.format(WORDS[c])} {k}" for phrase in PHRASES[: 1 + k % 3])  # no two alike
            writer.write(k, id=f"{k}", split=split, captions=captions, arrays=arrays)
        return writer.finish()


def chosen_pairs(store: PairedStore, rows: range | list[int], **made: Any) -> SyntheticSet:
    """Real pairs as a set; ``made`` are the settings of the run that made it."""
    pairs = Pairs.of(store, "train", captions="hashing")
    settings = {"tower": "convnet", "pretrained": "none", "captions": "hashing", "channels": 8, "pairs": len(rows)}
    return SyntheticSet(
        modalities=dict(pairs.modalities),
        values=pairs.batch(torch.tensor(list(rows))),
        captions=[(pairs.words(row),) for row in rows],
        provenance={
            "method": "random",
            "settings": {**settings, **made},
            "data": {"name": store.name, "hash": store.data_hash, "path": str(store.path)},
        },
    )
