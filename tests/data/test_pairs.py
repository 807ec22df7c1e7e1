"""A real set by pairs: which caption belongs to which picture, and what is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.data.pairs import Pairs, pair_modalities
from limbeck.data.toy import make_toy
from limbeck.errors import ConfigError, DataError
from tests.evaluation.paired_toy import paired_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return paired_store(tmp_path_factory.mktemp("pairs") / "store")


def test_a_caption_is_a_pair(store):
    pairs = Pairs.of(store, "train", captions="hashing")
    rows = store.rows("train")
    counts = [len(store.captions[int(row)]) for row in rows]
    assert len(pairs) == sum(counts)
    assert len(pairs.items) == len(rows)
    assert pairs.owner.tolist() == [i for i, n in enumerate(counts) for _ in range(n)]
    words = [text for row in rows for text in store.captions[int(row)]]
    assert [pairs.words(k) for k in range(len(pairs))] == [(text,) for text in words]


def test_values_are_the_items_and_the_captions_own(store):
    pairs = Pairs.of(store, "test", captions="hashing")
    batch = pairs.batch(torch.tensor([3, 0]))
    expected = store.batch("image", pairs.items[pairs.owner[[3, 0]]])
    assert torch.equal(batch["image"], expected)
    assert pairs.captions is not None
    assert torch.equal(batch["text"], torch.from_numpy(pairs.captions.vectors[pairs.numbers[[3, 0]]].copy()))
    assert batch["text"].shape[1:] == pairs.modalities["text"].shape
    assert pairs.name(3) == store.ids[int(pairs.items[pairs.owner[3]])]


def test_without_captions_an_item_is_a_pair(toy):
    pairs = Pairs.of(toy, "train")
    assert pairs.captions is None
    assert len(pairs) == len(pairs.items) == len(toy.rows("train"))
    assert torch.equal(pairs.seconds([1]), toy.batch(pairs.second, toy.rows("train")[[1]]))


def test_the_other_constants_of_a_set_are_used(toy):
    pairs = Pairs.of(toy, "train")
    other = {n: m.with_statistics((0.0,), (2.0,)) for n, m in pairs.modalities.items()}
    seen = pairs.seen_as(other)
    physical = toy.modalities[pairs.first].physical(toy.stored(pairs.first, pairs.items[:1]))
    assert torch.allclose(seen.firsts([0]), physical / 2)


def test_another_captions_encoder_is_told(store):
    pairs = Pairs.of(store, "train", captions="hashing")
    wrong = {**pairs.modalities, "text": store.modalities["text"]}
    with pytest.raises(ConfigError, match="text here is"):
        pairs.seen_as(wrong)


def test_equal_ids_only_of_equal_pairs(store):
    one, again = (Pairs.of(store, "train", captions="hashing") for _ in range(2))
    assert one.id == again.id
    assert one.id != Pairs.of(store, "test", captions="hashing").id
    fewer = Pairs(store, "train", one.modalities, one.items, one.owner, np.flip(one.numbers).copy(), one.captions)
    assert fewer.id != one.id


def test_text_comes_second_whatever_the_order(tmp_path):
    toy = make_toy(tmp_path / "store", modalities=("text", "image"), classes=2, per_class=(4, 1, 1))
    assert list(pair_modalities(toy)) == ["image", "text"]


def test_two_modalities_are_needed(tmp_path):
    toy = make_toy(tmp_path / "store", modalities=("image", "audio", "feature"), classes=2, per_class=(4, 1, 1))
    with pytest.raises(ConfigError, match="two modalities"):
        pair_modalities(toy)
    assert list(pair_modalities(toy, ["audio", "image"])) == ["image", "audio"]
    with pytest.raises(ConfigError, match="no modality 'sound'"):
        pair_modalities(toy, ["image", "sound"])


def test_a_split_that_is_not_there_is_told(tmp_path):
    store = paired_store(tmp_path / "store", each={"train": 1})
    with pytest.raises(DataError, match="validation"):
        Pairs.of(store, "validation", captions="hashing")
