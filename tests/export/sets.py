"""Sets that the exports are tried on."""

from __future__ import annotations

import torch

from limbeck.modalities import Audio, Depth, Feature, Image, Text
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.similarity import Factors, Similarity


def heard(factor: int = 2, captions: bool = True) -> SyntheticSet:
    """Pictures and sounds of three classes, two stored items each, whose names are a trial."""
    draw = torch.Generator().manual_seed(3)
    modalities = {
        "image": Image(shape=(3, 8, 8)),
        "sound": Audio(name="sound", shape=(1, 16, 12), sample_rate=4000, n_fft=64, hop=32, mean=(-20.0,), std=(8.0,)),
    }
    values = {name: torch.randn(6, *m.shape, generator=draw) for name, m in modalities.items()}
    # as many captions as cells, but not one for each: item 0 has two in its first cell and none in its second
    words = [tuple((f"item {i}, cell {k}",) for k in range(factor**2)) for i in range(6)] if captions else None
    if words and factor == 2:
        words[0] = (("one", "two"), (), *words[0][2:])
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    return SyntheticSet(modalities, values, labels, ("a,b", '"quoted"', "=1+1"), words, factor)


def paired() -> SyntheticSet:
    """Three pairs of a grey picture and a sentence, with what a method learnt of how alike they are."""
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 3, 2, generator=draw)
    learnt = Similarity(Factors(torch.tensor([1.0, 2.0, 3.0]), left, right), 0.5)
    text = Text(shape=(4,), embedding="hashing-4", mean=(1.0,), std=(2.0,))
    values = {"image": torch.randn(3, 1, 8, 8, generator=draw), "text": torch.randn(3, 4, generator=draw)}
    captions = [(("ein Straßenhund",),), (("a cat, two", 'a "cat"'),), ((),)]
    modalities = {"image": Image(shape=(1, 8, 8)), "text": text}
    return SyntheticSet(modalities, values, captions=captions, similarity=learnt)


def vectors() -> SyntheticSet:
    """Depth and two kinds of vectors, of two classes."""
    depth, text, vector = Depth(shape=(1, 4, 4)), Text(shape=(5,), mean=(1.0,), std=(2.0,)), Feature(shape=(3,))
    values = {"depth": torch.full((2, 1, 4, 4), 1.5), "text": torch.ones(2, 5), "feature": torch.eye(3)[:2]}
    modalities = {"depth": depth, "text": text, "feature": vector}
    captions = [(("one", "another"),), (("two", "too"),)]
    return SyntheticSet(modalities, values, torch.tensor([0, 1]), ("left", "right"), captions)
