"""The towers that runs by pairs get: what they are made of, what they start from, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from limbeck.banks import contrastive, patches
from limbeck.banks.towers import build_towers
from limbeck.data.pairs import Pairs
from limbeck.data.toy import make_toy
from limbeck.encoders import ConvNet, ProjectionHead, from_timm
from limbeck.encoders.from_timm import LibraryTower
from limbeck.encoders.towers import TOWERS
from limbeck.errors import ConfigError, FormatError, MissingDependencyError
from limbeck.modalities import Image
from limbeck.rng import stream
from limbeck.training.pairs import PairRecipe
from tests.encoders.fake_timm import HEADLESS, FakeTimm
from tests.evaluation.paired_toy import paired_store

pytestmark = pytest.mark.usefixtures("cache")
SMALL = {"channels": 4, "pretrained": "none"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patches, "DICTIONARY", patches.DictionaryRecipe(atoms=12, patches=500, rounds=3))
    monkeypatch.setattr(contrastive, "COPY_RECIPE", PairRecipe(epochs=2, batch=16, rates=0.01))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """24 pictures of 16 x 16, one to three captions each."""
    return Pairs.of(paired_store(tmp_path_factory.mktemp("captioned") / "store", side=16), "train", captions="hashing")


@pytest.fixture(scope="module")
def heard(toy) -> Pairs:
    """Picture and sound."""
    return Pairs.of(toy, "train")


def test_a_convnet_is_the_embedding_and_captions_get_a_head(captioned: Pairs) -> None:
    towers = build_towers(captioned, tower="convnet", **SMALL)
    image, text = towers.towers["image"], towers.towers["text"]
    assert image.trained == ConvNet(3, 16, 16, 2, 4)
    assert (image.frozen, image.start) == (None, None)
    assert text.trained == ProjectionHead(384, image.embedding)
    assert list(towers.towers) == ["image", "text"]


def test_a_frozen_convnet_has_a_head_of_any_width(captioned: Pairs) -> None:
    own = build_towers(captioned, tower="convnet", frozen=True, **SMALL)
    assert own.towers["image"].embedding == own.towers["image"].trained.input_shape[0]  # the tower's width by default
    narrow = build_towers(captioned, tower="convnet", frozen=True, width=7, **SMALL)
    image = narrow.towers["image"]
    assert isinstance(image.frozen, ConvNet)
    assert image.trained == ProjectionHead(image.frozen.embedding, 7)
    assert narrow.towers["text"].embedding == 7
    assert own.towers["image"].constants.keys() == image.frozen.init(stream(0, "w")).keys()
    again = build_towers(captioned, tower="convnet", frozen=True, width=7, **SMALL)
    assert again.id == narrow.id  # one draw for all, the same every time


def test_patches_are_frozen_whatever_is_said(captioned: Pairs) -> None:
    towers = build_towers(captioned, tower="patches")
    image = towers.towers["image"]
    assert image.frozen is not None
    assert image.trained == ProjectionHead(image.frozen.embedding, 256)
    assert towers.id == build_towers(captioned, tower="patches", frozen=True).id
    assert build_towers(captioned, tower="patches", width=9).towers["text"].embedding == 9


def test_the_dictionary_is_fitted_once_and_standardises_its_set(captioned: Pairs, cache: Path) -> None:
    first = build_towers(captioned, tower="patches").towers["image"]
    lifted = first.lift(captioned.firsts(range(len(captioned.items)))).double()
    torch.testing.assert_close(lifted.mean(0), torch.zeros(lifted.shape[1], dtype=torch.float64), atol=1e-4, rtol=0)
    spread = lifted.std(0, correction=0)
    assert bool(((spread - 1).abs() < 1e-3).logical_or(spread < 1e-3).all())
    assert float((spread > 0.5).double().mean()) > 0.9
    (file,) = cache.glob("banks/*/dictionary.safetensors")
    written = file.stat().st_mtime_ns
    assert build_towers(captioned, tower="patches").towers["image"].id == first.id
    assert file.stat().st_mtime_ns == written
    file.unlink()  # made again, it is the same
    assert build_towers(captioned, tower="patches").towers["image"].id == first.id
    file.write_bytes(file.read_bytes()[:-4])  # a damaged one is made again
    assert build_towers(captioned, tower="patches").towers["image"].id == first.id


def test_the_dictionary_looks_at_its_own_split_alone(captioned: Pairs) -> None:
    other = Pairs.of(captioned.store, "test", captions="hashing")
    ours, theirs = (build_towers(p, tower="patches").towers["image"].constants for p in (captioned, other))
    assert not torch.equal(ours["filters"], theirs["filters"])


def test_unfitted_patches_are_noise_of_the_same_size(captioned: Pairs) -> None:
    fitted, noise = (build_towers(captioned, tower="patches", pretrained=p) for p in ("auto", "none"))
    assert fitted.layouts == noise.layouts
    assert fitted.id != noise.id


def test_the_copy_is_trained_once_and_begins_every_network(captioned: Pairs, cache: Path) -> None:
    towers = build_towers(captioned, tower="convnet", channels=4)
    image = towers.towers["image"]
    assert image.start is not None
    fresh = image.trained.init(stream(0, "w"))
    assert all(not torch.equal(image.start[k], fresh[k]) for k in fresh)
    assert not towers.towers["text"].pretrained
    (file,) = cache.glob("banks/*/towers.safetensors")
    written = file.stat().st_mtime_ns
    again = build_towers(captioned, tower="convnet", channels=4)
    assert again.id == towers.id
    assert file.stat().st_mtime_ns == written
    frozen = build_towers(captioned, tower="convnet", channels=4, frozen=True, width=5).towers["image"]
    assert all(torch.equal(frozen.constants[k], image.start[k]) for k in image.start)


def test_picture_and_sound_both_get_the_tower(heard: Pairs) -> None:
    for tower, frozen in (("convnet", False), ("convnet", True), ("patches", True)):
        towers = build_towers(heard, tower=tower, frozen=frozen, channels=4)
        batch = towers.lift(heard.batch(range(3)))
        weights = towers.init(lambda name: stream(0, name))
        assert {n: z.shape[0] for n, z in towers.embed(weights, batch).items()} == {"image": 3, "audio": 3}
        assert all(t.name == tower and (t.frozen is not None) == frozen for t in towers.towers.values())
        assert all(t.pretrained for t in towers.towers.values()) == (not frozen)


def test_vectors_alone_get_heads(captioned: Pairs) -> None:
    vectors = dataclasses.replace(
        captioned,
        modalities={n: dataclasses.replace(captioned.modalities["text"], name=n) for n in ("feature", "text")},
    )
    towers = build_towers(vectors, tower="convnet", channels=4, width=6)
    assert [t.trained for t in towers.towers.values()] == [ProjectionHead(384, 6)] * 2
    with pytest.raises(ConfigError, match="the tower patches is for pictures"):
        build_towers(vectors, tower="patches")


def test_a_file_of_weights_is_where_networks_start(captioned: Pairs, heard: Pairs, tmp_path: Path) -> None:
    net = ConvNet(3, 16, 16, 2, 4)
    weights, file = net.init(stream(5, "file")), tmp_path / "w.safetensors"
    save_file(weights, file)
    image = build_towers(captioned, tower="convnet", channels=4, pretrained=str(file)).towers["image"]
    assert image.start is not None
    assert all(torch.equal(image.start[k], weights[k]) for k in weights)
    with pytest.raises(FormatError, match=r"it misses image/0\.conv"):
        build_towers(heard, tower="convnet", channels=4, pretrained=str(file))
    fresh = build_towers(heard, tower="convnet", **SMALL).init(lambda name: stream(0, name))
    save_file({f"{n}/{k}": w for n, own in fresh.items() for k, w in own.items()}, file)
    towers = build_towers(heard, tower="convnet", channels=4, pretrained=str(file)).towers
    assert all(torch.equal(towers[n].start[k], w) for n, own in fresh.items() for k, w in own.items())


def test_what_does_not_fit_is_an_error(captioned: Pairs, heard: Pairs) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'convnet'"):
        build_towers(captioned, tower="convnett")
    with pytest.raises(ConfigError, match="is the embedding, of its own width"):
        build_towers(captioned, tower="convnet", width=64, **SMALL)
    with pytest.raises(ConfigError, match="there is no such file of weights"):
        build_towers(captioned, tower="convnet", channels=4, pretrained="imagenet")
    with pytest.raises(ConfigError, match="the tower nfnet is for colour pictures beside vectors"):
        build_towers(heard, tower="nfnet")


@pytest.mark.parametrize("name", [name for name, kind in TOWERS.items() if kind.timm])
def test_towers_of_timm_need_timm(captioned: Pairs, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from_timm._timm.cache_clear()
    monkeypatch.setattr(from_timm, "find_spec", lambda package: None if package == "torchvision" else object())
    large = {**captioned.modalities, "image": Image(shape=(3, 224, 224))}
    with pytest.raises(MissingDependencyError, match="torchvision is not installed"):
        build_towers(dataclasses.replace(captioned, modalities=large), tower=name)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A library of one network of 16 numbers, from which the classifier was taken."""
    monkeypatch.setitem(TOWERS, "tiny", HEADLESS)
    monkeypatch.setattr(from_timm, "_timm", FakeTimm)
    from_timm._module.cache_clear()
    yield
    from_timm._module.cache_clear()


@pytest.mark.usefixtures("tiny")
def test_a_tower_of_timm_starts_from_a_file_without_its_classifier(
    captioned: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stretched = paired_store(tmp_path / "store", side=32)
    pairs, file = Pairs.of(stretched, "train", captions="hashing"), tmp_path / "tiny.pth"
    weights = FakeTimm().create_model("tiny_net", pretrained=False).state_dict()
    torch.save(weights, file)
    image = build_towers(pairs, tower="tiny", pretrained=str(file), precision="bf16").towers["image"]
    assert image.trained == LibraryTower("tiny", 32, 32, "bf16")
    assert image.start is not None
    assert image.embedding == 16
    assert image.start.keys() == weights.keys() - {"head.weight", "head.bias"}
    monkeypatch.setattr("limbeck.banks.towers.cached_weights", lambda _: file)
    frozen = build_towers(pairs, tower="tiny", frozen=True, width=6).towers["image"]
    assert all(torch.equal(frozen.constants[k], w) for k, w in image.start.items())
    fresh = build_towers(pairs, tower="tiny", pretrained="none").towers["image"]
    assert fresh.start is None
    with pytest.raises(ConfigError, match="32 x 32 and larger"):
        build_towers(captioned, tower="tiny")


@pytest.mark.parametrize(("tower", "width"), [("lenet", 84), ("resnet18", 512)])
def test_networks_of_the_class_wise_methods_are_towers(tmp_path: Path, tower: str, width: int) -> None:
    store = make_toy(tmp_path / "store", modalities=("image", "text"), classes=2, per_class=(4, 1, 1), image_size=32)
    pairs = Pairs.of(store, "train", captions="hashing")
    towers = build_towers(pairs, tower=tower, pretrained="none")
    found = towers.embed(towers.init(lambda name: stream(0, name)), towers.lift(pairs.batch([0, 1])))
    assert {name: tuple(x.shape) for name, x in found.items()} == {"image": (2, width), "text": (2, width)}
