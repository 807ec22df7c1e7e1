"""Experts on pairs: shared, resumable, and the training they say they are."""

from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from limbeck.banks import pair_experts as module
from limbeck.banks.pair_experts import PAIR_EXPERT_RECIPE, PairExperts, expert_recipe
from limbeck.banks.pair_snapshots import expert_seed
from limbeck.data.pairs import Pairs
from limbeck.data.store import PairedStore
from limbeck.encoders import ConvNet, ProjectionHead, Tower, TwoTower
from limbeck.errors import ConfigError, FormatError, NumericsError
from limbeck.rng import stream
from limbeck.training.pair_data import Lifted, RealPairs
from limbeck.training.pairs import train_pairs

pytestmark = pytest.mark.usefixtures("cache")
RECIPE = dataclasses.replace(PAIR_EXPERT_RECIPE, batch=32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def pairs(toy):
    """Two pairs an item, of equal values."""
    found = Pairs.of(toy, "train")
    rows = np.arange(len(found.owner))
    return dataclasses.replace(found, owner=np.repeat(rows, 2), numbers=np.repeat(rows, 2))


def towers(pretrained=False):
    image, audio = ConvNet(3, 16, 16, blocks=2, channels=4), ConvNet(1, 16, 16, blocks=2, channels=4)
    start = image.init(stream(1, "pretrained")) if pretrained else None
    return TwoTower({"image": Tower("convnet", image, start=start), "audio": Tower("convnet", audio)})


def frozen_towers():
    net, audio = ConvNet(3, 16, 16, blocks=2, channels=4), ConvNet(1, 16, 16, blocks=2, channels=4)
    head = Tower("convnet", ProjectionHead(net.embedding, 64), net, net.init(stream(1, "frozen")))
    return TwoTower({"image": head, "audio": Tower("convnet", audio)})


def build(pairs, **options):
    return PairExperts.build(pairs, **{"towers": towers(), "experts": 2, "epochs": 3, "recipe": RECIPE, **options})


def files(cache):
    return {p.relative_to(cache): p.read_bytes() for p in sorted(cache.rglob("epoch-*.safetensors"))}


@pytest.fixture
def calls(monkeypatch):
    """The epochs that are trained."""
    seen = []

    def counting(towers, data, recipe, seed, **options):
        seen.append((seed, options["epochs"][0]))
        return train_pairs(towers, data, recipe, seed, **options)

    monkeypatch.setattr(module, "train_pairs", counting)
    return seen


@pytest.mark.parametrize("pretrained", [False, True])
def test_an_expert_is_one_training_and_its_epochs(pairs, cache, pretrained):
    bank = build(pairs, towers=towers(pretrained), experts=1)
    kept = {}
    recipe = dataclasses.replace(RECIPE, epochs=3)
    train_pairs(
        towers(pretrained), RealPairs(pairs), recipe, expert_seed(0), after_epoch=lambda e, w: kept.update({e: w})
    )
    for name, layout in bank.layouts.items():
        for epoch in range(3):
            assert torch.equal(bank.snapshot(name, 0, epoch + 1), layout.flatten(kept[epoch][name]))
        assert float((bank.snapshot(name, 0, 1) - bank.snapshot(name, 0, 0)).abs().max()) > 0
    image = towers(True).towers["image"]
    assert torch.equal(bank.snapshot("image", 0, 0), bank.layouts["image"].flatten(image.start)) == pretrained
    with safe_open(next(cache.rglob("epoch-00.safetensors")), framework="pt") as file:
        assert set(file.keys()) == ({"audio"} if pretrained else {"image", "audio"})  # what all share is not kept twice


def test_what_is_frozen_is_not_augmented(pairs, monkeypatch):
    assert expert_recipe(towers()).augment == "randaugment"
    assert expert_recipe(frozen_towers()) == dataclasses.replace(PAIR_EXPERT_RECIPE, augment="none")
    lifted = []
    monkeypatch.setattr(module, "Lifted", lambda *a, **o: lifted.append(Lifted(*a, **o)) or lifted[-1])
    bank = build(pairs, towers=frozen_towers())
    assert len(lifted) == 1  # for all experts
    plain = dataclasses.replace(RECIPE, augment="none", epochs=3)
    trained = train_pairs(frozen_towers(), RealPairs(pairs), plain, expert_seed(1))
    for name, layout in bank.layouts.items():
        assert torch.equal(bank.snapshot(name, 1, 3), layout.flatten(trained[name]))


def test_fewer_are_the_first_of_more_and_nothing_is_trained_twice(pairs, cache, calls, tmp_path, monkeypatch):
    bank = build(pairs, experts=1, epochs=1)
    small = files(cache)
    assert build(pairs, experts=2, epochs=3).id == bank.id
    assert len(calls) == 6
    whole = files(cache)
    assert all(whole[name] == content for name, content in small.items())
    build(pairs, experts=2, epochs=2)
    assert len(calls) == 6
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "other"))
    build(pairs, experts=2, epochs=3)
    assert files(tmp_path / "other") == whole


def test_what_is_never_asked_for_is_not_trained(pairs, calls):
    bank = build(pairs, experts=1, epochs=2)
    assert len(calls) == 2
    assert bank.epochs == 2
    with pytest.raises(ConfigError, match=r"(?s)no snapshot 3 .* snapshots 0 to 2"):
        bank.snapshot("image", 0, 3)


@pytest.mark.parametrize("half", [False, True])
def test_a_killed_training_goes_on_to_the_same_bits(pairs, cache, tmp_path, monkeypatch, half):
    build(pairs, half=half)
    whole = files(cache)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cut"))
    seen, made = [], {}

    def cut(*arguments, **options):
        seen.append(1)
        if len(seen) in (3, 6):  # in the middle of an epoch
            train_pairs(*arguments, **{**options, "report": interrupted})
        return train_pairs(*arguments, **options)

    def interrupted(done):
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_pairs", cut)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            build(pairs, half=half)
        now = {p: p.stat().st_mtime_ns for p in (tmp_path / "cut").rglob("epoch-*.safetensors")}
        assert all(now[p] == at for p, at in made.items())  # finished epochs are untouched
        made = now
    build(pairs, half=half)
    assert len(seen) == 8  # six epochs and the two that were cut
    assert files(tmp_path / "cut") == whole


def _other_process(path: str, owner: list[int]) -> None:
    torch.set_num_threads(1)
    found = Pairs.of(PairedStore.open(Path(path)), "train")
    rows = np.asarray(owner)
    build(dataclasses.replace(found, owner=rows, numbers=rows), experts=3)


def test_processes_share_the_work(pairs, cache, tmp_path, monkeypatch):
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=_other_process, args=(str(pairs.store.path), pairs.owner.tolist()))
    other.start()
    build(pairs, experts=3)
    other.join(60)
    assert other.exitcode == 0
    shared = files(cache)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "alone"))
    build(pairs, experts=3)
    assert files(tmp_path / "alone") == shared


def test_half_precision_rounds_what_was_moved(pairs, cache):
    """An epoch from the same snapshot, kept in either way: within half a unit of half precision's last place."""
    bank = build(pairs, experts=1, epochs=2, half=True)
    halved = sum(len(content) for content in files(cache).values())
    seed, data = expert_seed(0), RealPairs(pairs)
    for epoch in range(2):
        start = {n: layout.weights(bank.snapshot(n, 0, epoch)) for n, layout in bank.layouts.items()}
        recipe = dataclasses.replace(RECIPE, epochs=2)
        exact = train_pairs(towers(), data, recipe, seed, weights=start, epochs=range(epoch, epoch + 1))
        for name, layout in bank.layouts.items():
            moved = layout.flatten(exact[name]) - bank.snapshot(name, 0, 0)
            error = (bank.snapshot(name, 0, epoch + 1) - layout.flatten(exact[name])).abs()
            # the second term: half precision's smallest steps and single precision's sum
            assert bool((error <= moved.abs() * 2**-11 + 2**-24).all())
            assert float(error.max()) > 0
    whole = build(pairs, experts=1, epochs=2)
    assert whole.id != bank.id
    assert halved < 0.75 * (sum(len(content) for content in files(cache).values()) - halved)


def test_a_damaged_epoch_is_trained_anew_and_named_where_it_is_read(pairs, cache, calls):
    bank = build(pairs)
    before = files(cache)
    path = sorted(cache.rglob("epoch-02.safetensors"))[0]
    content = path.read_bytes()
    path.write_bytes(content[:-50])
    with pytest.raises(FormatError, match=r"expert-0000/epoch-02\.safetensors"):
        bank.snapshot("image", 0, 2)
    build(pairs)
    assert calls[6:] == [(expert_seed(0), 1)]
    assert files(cache) == before


def test_other_settings_are_another_bank(pairs):
    first = build(pairs, experts=1, epochs=1).id
    others = [
        build(pairs, experts=1, epochs=1, **changes).id
        for changes in (
            {"towers": towers(True)}, {"towers": frozen_towers()}, {"half": True},
            {"recipe": dataclasses.replace(RECIPE, rates=0.05)},
        )
    ]  # fmt: skip
    assert len({first, *others}) == 5
    assert build(pairs, experts=1, epochs=1, recipe=dataclasses.replace(RECIPE, epochs=2)).id == first


def test_experts_differ_and_share_nothing_with_students(pairs):
    bank = build(pairs, epochs=1)
    one, two = (bank.snapshot("audio", m, 0) for m in range(2))
    assert float((one - two).abs().max()) > 0.1
    for seed in range(5):
        student = towers().init(lambda name, seed=seed: stream(seed, "pairs", "init", name))
        assert float((one - bank.layouts["audio"].flatten(student["audio"])).abs().max()) > 0.1


def test_a_rehearsal_trains_nothing(pairs, cache, calls):
    bank = build(pairs, towers=towers(True), rehearse=True)
    start, target = (bank.snapshot("image", 0, e) for e in range(2))
    assert start.shape == target.shape == (bank.layouts["image"].size,)
    assert float((start - target).abs().max()) > 0
    assert not calls
    assert not files(cache)


def test_what_cannot_be_is_told(pairs):
    with pytest.raises(NumericsError, match="expert 0 on pairs"):
        build(pairs, recipe=dataclasses.replace(RECIPE, rates=1e38))
    with pytest.raises(ConfigError, match="without momentum"):
        build(pairs, recipe=dataclasses.replace(RECIPE, momentum=0.9))
    with pytest.raises(ConfigError, match="2 experts of 0 epochs"):
        build(pairs, epochs=0)
    with pytest.raises(ConfigError, match="no snapshot 0 of expert 2 of image"):
        build(pairs, rehearse=True).snapshot("image", 2, 0)
