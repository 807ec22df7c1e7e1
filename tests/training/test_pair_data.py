"""Pairs by position, and what frozen parts make of them, once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
import torch

from limbeck.data.pairs import Pairs
from limbeck.data.writer import StoreWriter
from limbeck.encoders import Linear, ProjectionHead, Tower, TwoTower
from limbeck.errors import ConfigError
from limbeck.modalities import Feature, Image, Text
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from limbeck.training import pair_data as module
from limbeck.training.pair_data import Lifted, PairData, RealPairs, SyntheticPairs

SOME = torch.tensor([4, 0, 1, 4])


@dataclasses.dataclass(frozen=True)
class Counting(Linear):
    """Says how many items went through."""

    seen: ClassVar[list[int]] = []

    def embed(self, weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        return super().embed(weights, x)


@pytest.fixture
def captioned(tmp_path):
    """Three items with two, one and three captions: six pairs."""
    texts = [("a dog", "two dogs"), ("a cat",), ("a dog runs", "cats", "cats run")]
    modalities = [Feature(shape=(3,)), Text(shape=(2,))]
    with StoreWriter(tmp_path / "store", name="x", modalities=modalities, capacity=len(texts)) as writer:
        for k, captions in enumerate(texts):
            arrays = {"feature": np.full(3, 1 + k, np.float16), "text": np.zeros(2, np.float16)}
            writer.write(k, id=str(k), arrays=arrays, split="train", captions=captions)
        store = writer.finish()
    return Pairs.of(store, "train", captions="hashing")


def frozen(pairs: PairData, width: int = 4, both: bool = False) -> TwoTower:
    towers = {}
    for name, modality in pairs.modalities.items():
        features = modality.shape[0]
        below = Counting(features, 5) if both or name == next(iter(pairs.modalities)) else None
        constants = {} if below is None else below.init(stream(0, "frozen", name))
        head = ProjectionHead(features if below is None else 5, width)
        towers[name] = Tower("counting", head, below, constants)
    Counting.seen.clear()
    return TwoTower(towers)


def test_real_pairs_are_the_stores(captioned):
    data = RealPairs(captioned)
    assert (len(data), data.id) == (6, captioned.id)
    assert data.owner.tolist() == [0, 0, 1, 2, 2, 2]
    expected = captioned.batch(SOME)
    assert list(data.batch(SOME)) == ["feature", "text"]
    for name, x in expected.items():
        assert torch.equal(data.batch(SOME)[name], x)
        assert torch.equal(data.values(name, SOME), x)
    assert torch.equal(data.values("feature", SOME)[0], data.values("feature", torch.tensor([5]))[0])
    assert not torch.equal(data.values("text", SOME)[0], data.values("text", torch.tensor([5]))[0])


def test_synthetic_pairs_are_what_a_set_decodes_to():
    modalities = {"image": Image(shape=(3, 8, 8)), "depth": Image(name="depth", shape=(1, 8, 8))}
    values = {n: torch.randn(2, *m.shape, requires_grad=True) for n, m in modalities.items()}
    synthetic = SyntheticSet(modalities, values, factor=2)
    data = SyntheticPairs(synthetic)
    assert (len(data), data.owner.tolist()) == (8, list(range(8)))
    decoded, _ = synthetic.decode()
    found = data.batch(torch.tensor([5, 1]))
    assert all(torch.equal(found[name], x[[5, 1]]) for name, x in decoded.items())
    assert not any(x.requires_grad for x in found.values())
    other = SyntheticPairs(SyntheticSet(modalities, {n: v + 1 for n, v in values.items()}))
    assert other.id != data.id
    with pytest.raises(ConfigError, match="the set has image"):
        SyntheticPairs(SyntheticSet({"image": modalities["image"]}, {"image": values["image"]}))


@pytest.mark.parametrize("both", [False, True])
def test_lifted_is_what_towers_lift(captioned, both, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    data = RealPairs(captioned)
    towers = frozen(data, both=both)
    lifted = Lifted(data, towers)
    assert Counting.seen == [2, 1] + [2, 2, 2] * both  # three items of the first, six of the second
    expected = towers.lift(data.batch(SOME))
    assert len(lifted) == 6
    assert torch.equal(lifted.owner, data.owner)
    Counting.seen.clear()
    found = lifted.batch(SOME)
    assert not Counting.seen
    for name, x in expected.items():
        torch.testing.assert_close(found[name], x)
        assert not found[name].requires_grad


def test_vectors_beyond_the_limit_stay_where_they_are(captioned, monkeypatch):
    data = RealPairs(captioned)
    towers = frozen(data)
    kept = Lifted(data, towers)
    asked = []
    values = data.values
    monkeypatch.setattr(data, "values", lambda name, pairs: asked.append(name) or values(name, pairs))
    before = kept.batch(SOME)
    assert not asked
    monkeypatch.setattr(module, "KEPT_BYTES", 8)
    mapped = Lifted(data, towers)
    asked.clear()
    after = mapped.batch(SOME)
    assert asked == ["text"]
    assert all(torch.equal(x, before[name]) for name, x in after.items())


def test_pixels_without_a_frozen_part_are_not_kept_twice():
    modalities = {"image": Image(shape=(3, 8, 8)), "text": Text(shape=(4,))}
    values = {n: torch.randn(3, *m.shape) for n, m in modalities.items()}
    data = SyntheticPairs(SyntheticSet(modalities, values))
    towers = TwoTower({n: Tower("linear", Linear(4, 4)) for n in modalities})
    lifted = Lifted(data, towers)
    assert list(lifted._kept) == ["text"]
    assert torch.equal(lifted.batch(SOME[1:3])["image"], values["image"][[0, 1]])


def test_ids_tell_pairs_and_towers_apart(captioned, toy):
    data = RealPairs(captioned)
    other = frozen(data)
    first = other.towers["feature"]
    changed = dataclasses.replace(first, constants={k: w + 1 for k, w in first.constants.items()})
    ids = {
        Lifted(data, frozen(data)).id,
        Lifted(data, TwoTower({**other.towers, "feature": changed})).id,
        data.id,
        RealPairs(Pairs.of(toy, "train")).id,
    }
    assert len(ids) == 4
    assert Lifted(data, frozen(data)).id in ids
