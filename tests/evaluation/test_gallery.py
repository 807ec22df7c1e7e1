"""Real pairs that networks are asked about: names of metrics, chance, what is read once."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from limbeck.banks.towers import build_towers
from limbeck.data.pairs import Pairs
from limbeck.data.toy import make_toy
from limbeck.evaluation.gallery import Gallery, recall_chances
from limbeck.evaluation.result import binomial_error
from limbeck.rng import stream
from tests.evaluation.paired_toy import paired_store
from tests.reference.recall import sorted_recall


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return paired_store(tmp_path_factory.mktemp("concepts") / "store")


def gallery(store: Any, **settings: Any) -> Gallery:
    pairs = Pairs.of(store, "test", captions="hashing")
    told = {"tower": "convnet", "pretrained": "none", "channels": 8, **settings}
    return Gallery(pairs, build_towers(Pairs.of(store, "train", captions="hashing"), **told))


@pytest.mark.parametrize("counts", [(1,) * 12, (5,) * 7, (5, 5, 6, 1, 2, 9), (3,), (1, 30)])
def test_chance_is_what_random_orders_give(counts: tuple[int, ...]) -> None:
    found = recall_chances(torch.tensor(counts))
    draw, trials = random.Random(3), 4000
    owner = [i for i, n in enumerate(counts) for _ in range(n)]
    hits = dict.fromkeys(found, 0.0)
    for _ in range(trials):
        texts, images = draw.sample(owner, len(owner)), draw.sample(range(len(counts)), len(counts))
        for k in (1, 5, 10):
            hits[f"TR@{k}"] += 100 * len(set(texts[:k])) / len(counts) / trials
            hits[f"IR@{k}"] += 100 * (0 in images[:k]) / trials
    hits["Mean"] = sum(v for name, v in hits.items() if name != "Mean") / 6
    assert found == pytest.approx(hits, abs=2.5)
    assert list(found) == ["IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "Mean"]


def test_of_one_caption_each_both_ways_are_alike() -> None:
    found = recall_chances(torch.ones(40, dtype=torch.int64))
    assert [found[f"TR@{k}"] for k in (1, 5, 10)] == pytest.approx([2.5, 12.5, 25])
    assert found["IR@10"] == pytest.approx(found["TR@10"])


@pytest.mark.parametrize("frozen", [False, True])
def test_scores_are_those_of_sorted_rows(store: Any, frozen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.evaluation.gallery.CHUNK", 5)
    own = gallery(store, frozen=frozen, width=7 if frozen else None)
    weights = own.towers.init(lambda name: stream(5, name))
    whole = own.pairs.batch(range(len(own.pairs)))
    embedded = own.towers.embed(weights, own.towers.lift(whole))
    images, texts = (torch.nn.functional.normalize(x.double(), dim=1) for x in embedded.values())
    first = torch.tensor([own.pairs.owner.tolist().index(i) for i in range(own.items)])
    expected = sorted_recall((images[first] @ texts.T).numpy(), own.pairs.owner)
    assert own.scores(weights) == pytest.approx(expected)
    assert len(own.pairs) > own.items


def test_what_stands_still_is_read_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    for side in ("firsts", "seconds"):
        original = getattr(Pairs, side)
        monkeypatch.setattr(Pairs, side, lambda *a, f=original, s=side: (read.append(s), f(*a))[1])
    for frozen, pictures in ((True, 1), (False, 3)):
        own = gallery(store, frozen=frozen)
        read.clear()
        scores = [own.scores(own.towers.init(lambda name, k=k: stream(k, name))) for k in (0, 1, 0)]
        assert (read.count("firsts"), read.count("seconds")) == (pictures, 1)
        assert scores[0] == scores[2]


def test_other_modalities_name_who_asks(toy: Any, tmp_path: Any) -> None:
    sound = gallery(toy)
    assert sound.metrics[:4] == ("audio->image R@1", "audio->image R@5", "audio->image R@10", "image->audio R@1")
    assert sound.metrics[-1] == "Mean"
    assert set(sound.chances) == set(sound.metrics)
    vectors = make_toy(tmp_path / "vectors", modalities=("text", "audio"), per_class=(4, 1, 2), captions=False)
    pairs = Pairs.of(vectors, "test")
    own = Gallery(pairs, build_towers(pairs, tower="convnet", pretrained="none", channels=8))
    assert own.metrics[0] == "text->audio R@1"


def test_the_error_that_few_items_leave() -> None:
    assert binomial_error(20.0, 100) == pytest.approx(4.0)
    assert binomial_error(0.0, 125) == binomial_error(100.0, 125) == 0
    parts = [10.0, 40.0, 70.0]
    assert binomial_error(sum(parts) / 3, 50) >= sum(binomial_error(p, 50) for p in parts) / 3


@pytest.mark.parametrize("dead", ["image", "text"])
def test_a_network_to_which_all_items_are_the_same_gets_chance(store: Any, dead: str) -> None:
    """Ties count as right: a tower whose last units are dead would find everything."""
    own = gallery(store)
    weights = own.towers.init(lambda name: stream(5, name))
    assert own.scores(weights) != own.chances
    fill = {"0.shift": -50.0, "norm.scale": 0.0}  # below every ReLU; the head's bias alone
    weights[dead] = {k: torch.full_like(w, fill[k]) if k in fill else w for k, w in weights[dead].items()}
    weights[dead] |= {"norm.shift": torch.ones(own.towers.towers[dead].embedding)} if dead == "text" else {}
    assert own.scores(weights) == own.chances
