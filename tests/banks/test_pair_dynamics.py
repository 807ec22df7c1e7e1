"""Warm-ups of two towers: a plain loop's features and history, made once and kept by what made them."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
import torch

from limbeck.banks import pair_dynamics as module
from limbeck.banks.pair_dynamics import FORGETTING, WARM_UP, PairDynamics, unit_embeddings
from limbeck.data.pairs import Pairs
from limbeck.data.writer import StoreWriter
from limbeck.encoders import ConvNet, ProjectionHead, Tower, TwoTower, machine
from limbeck.errors import ConfigError, NumericsError
from limbeck.losses.contrastive import info_nce
from limbeck.modalities import Image, Text
from limbeck.rng import key, numpy_stream, stream
from limbeck.training.pair_data import Lifted, RealPairs
from limbeck.training.pairs import train_pairs
from tests.reference import coresets as literal

SHORT = dataclasses.replace(WARM_UP, epochs=3, batch=7)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "WARM_UP", dataclasses.replace(SHORT, epochs=2))
    monkeypatch.setattr(module, "FORGETTING", SHORT)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Nine pictures with one to three captions, 18 pairs; two more pictures are of another split."""
    with StoreWriter(
        tmp_path_factory.mktemp("pairs") / "store", name="x", capacity=11,
        modalities=[Image(shape=(3, 8, 8), mean=(0.5,), std=(0.3,)), Text(shape=(2,))],
    ) as writer:  # fmt: skip
        for k in range(11):
            image = numpy_stream(k, "picture").integers(0, 256, (3, 8, 8)).astype(np.uint8)
            captions = tuple(f"{'abc'[k % 3]} dog number {k}, {i}" for i in range(1 + k % 3))
            arrays = {"image": image, "text": np.zeros(2, np.float16)}
            writer.write(k, id=str(k), arrays=arrays, split="train" if k < 9 else "test", captions=captions)
        return writer.finish()


@pytest.fixture
def real(store, cache):
    assert not cache.exists()
    return Pairs.of(store, "train", captions="hashing")


@dataclasses.dataclass(frozen=True)
class Counting(ConvNet):
    """Says how many pictures went through."""

    seen: ClassVar[list[int]] = []

    def embed(self, weights: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        return super().embed(weights, x)


def towers(frozen=False):
    net = Counting(3, 8, 8, blocks=1, channels=2)
    image = Tower("convnet", net)
    if frozen:
        image = Tower("convnet", ProjectionHead(net.embedding, net.embedding), net, net.init(stream(1, "frozen")))
    return TwoTower({"image": image, "text": Tower("head", ProjectionHead(384, net.embedding))})


def small(real, seed=0, frozen=False, **settings):
    return PairDynamics(real, towers(frozen), seed, **settings)


@pytest.fixture
def trainings(monkeypatch):
    calls = []

    def counted(two, data, recipe, seed, **settings):
        calls.append(seed)
        return train_pairs(two, data, recipe, seed, **settings)

    monkeypatch.setattr(module, "train_pairs", counted)
    return calls


def literal_training(two, real, recipe, seed):
    """Weights, and by epoch and pair whether it was right in the batch it met, before the update that followed."""
    weights = two.init(lambda name: stream(seed, "pairs", "init", name))
    flat = [w.requires_grad_() for own in weights.values() for w in own.values()]
    sgd = torch.optim.SGD(flat, lr=0.1)
    history = np.zeros((recipe.epochs, len(real)), dtype=bool)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(real), generator=stream(seed, "pairs", "order", epoch))
        for number, at in enumerate(order.split(recipe.batch)):
            draw = stream(seed, "pairs", "dropout", epoch, number)
            a, b = two.embed(weights, two.lift(real.batch(at.numpy())), draw).values()
            history[epoch, at.numpy()] = literal.right(a.tolist(), b.tolist())
            sgd.zero_grad()
            info_nce(a, b, temperature=0.07).backward()
            sgd.step()
    return weights, history


@pytest.mark.parametrize("frozen", [False, True])
def test_history_and_features_are_those_of_a_plain_loop(real, frozen):
    two = towers(frozen)
    history = small(real, seed=3, frozen=frozen).history()
    expected = literal_training(two, real, SHORT, key(3, "coreset", "forgetting"))[1]
    assert history.shape == (3, 18)
    assert 0 < history.mean() < 1
    assert (history != expected).mean() <= 0.02  # a near tie may fall the other way by rounding

    recipe = dataclasses.replace(SHORT, epochs=2)
    weights = literal_training(two, real, recipe, key(0, "coreset", "warm-up"))[0]
    found = small(real, seed=3, frozen=frozen).features()
    with torch.no_grad():
        for name, values in (("image", real.firsts(np.arange(9))), ("text", real.seconds(np.arange(18)))):
            known = two.towers[name].embed(weights[name], two.towers[name].lift(values))
            known = known / known.norm(dim=1, keepdim=True)
            np.testing.assert_allclose(found[name].astype(np.float32), known.numpy(), atol=2e-3)


def test_each_picture_is_seen_once_and_captions_too(real):
    two, data = towers(), Lifted(RealPairs(real), towers())
    weights = two.init(lambda name: stream(0, name))
    Counting.seen.clear()
    tables = {name: torch.cat(list(unit_embeddings(two, weights, data, name))) for name in ("image", "text")}
    assert sum(Counting.seen) == 9
    assert {name: len(t) for name, t in tables.items()} == {"image": 9, "text": 18}
    for t in tables.values():
        torch.testing.assert_close(t.norm(dim=1), torch.ones(len(t)))


def test_a_frozen_tower_sees_each_picture_once_in_all(real):
    dynamics = small(real, frozen=True)
    Counting.seen.clear()
    dynamics.features()
    dynamics.history()
    assert sum(Counting.seen) == 9


def test_both_are_kept_and_keyed_by_what_made_them(real, cache, trainings, monkeypatch):
    first, features = small(real).history(), small(real).features()
    assert len(trainings) == len(set(trainings)) == 2
    again = small(real).features()
    assert np.array_equal(first, small(real).history())
    assert all(np.array_equal(features[name], again[name]) for name in ("image", "text"))
    assert again["image"].dtype == np.float16
    assert len(trainings) == 2
    small(real, seed=1).features()  # one warm-up for all runs
    assert len(trainings) == 2
    assert not np.array_equal(first, small(real, seed=1).history())
    small(real, frozen=True).history()
    assert len(trainings) == 4
    monkeypatch.setattr(machine, "machine_name", lambda _: "another")
    small(real).history()
    assert len(trainings) == 5
    assert not list(cache.rglob("*.tmp"))


def test_equal_settings_equal_bits(real, cache):
    one = small(real, seed=4)
    history, features = one.history(), {name: f.copy() for name, f in one.features().items()}
    (cache / "dynamics").rename(cache / "aside")
    assert np.array_equal(small(real, seed=4).history(), history)
    again = small(real, seed=4).features()
    assert all(np.array_equal(features[name], again[name]) for name in features)


def test_a_damaged_file_is_made_again(real, cache, trainings):
    first = {name: f.copy() for name, f in small(real).features().items()}
    (file,) = cache.rglob("text.npy")
    file.write_bytes(file.read_bytes()[:-5])
    again = small(real).features()
    assert np.array_equal(again["text"], first["text"])
    assert len(trainings) == 2


def test_two_at_the_same_time_train_once(real, trainings):
    found = []
    threads = [threading.Thread(target=lambda: found.append(small(real).history())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trainings) == 1
    assert np.array_equal(found[0], found[1])


def test_steps_are_told(real):
    told = []
    dynamics = small(real)
    dynamics.history(told.append)
    assert told == list(range(1, dynamics.steps(SHORT) + 1))
    assert dynamics.steps(SHORT) == 9


def test_what_cannot_be(real, tmp_path, monkeypatch):
    two = towers()
    weights = two.init(lambda name: stream(0, name))
    weights["text"]["1.bias"][0] = torch.inf
    with pytest.raises(NumericsError, match="embeddings of text are not finite"):
        list(unit_embeddings(two, weights, Lifted(RealPairs(real), two), "text"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="cannot be written"):
        small(real).history()


def test_the_published_figures():
    assert (WARM_UP.epochs, WARM_UP.batch, WARM_UP.rates, WARM_UP.weight_decay) == (5, 64, 0.1, 0.0)
    assert dataclasses.replace(FORGETTING, epochs=5) == WARM_UP
    assert FORGETTING.epochs == 10
