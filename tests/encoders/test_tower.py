from __future__ import annotations

import dataclasses

import pytest
import torch

from limbeck.encoders import ConvNet, Linear, ProjectionHead, Tower, TwoTower
from limbeck.errors import ConfigError
from limbeck.rng import stream

NET = ConvNet(3, 8, 8, 1, channels=4)
HEAD = ProjectionHead(5, NET.embedding)
X = torch.randn(3, 3, 8, 8, generator=stream(0, "x"))


def two(image: Tower | None = None) -> TwoTower:
    image = image or Tower("convnet", NET)
    return TwoTower({"image": image, "text": Tower("head", ProjectionHead(5, image.embedding))})


def frozen() -> Tower:
    return Tower("convnet", ProjectionHead(NET.embedding, 6), frozen=NET, constants=NET.init(stream(0, "frozen")))


def test_without_a_frozen_part_lifting_changes_nothing() -> None:
    tower = Tower("convnet", NET)
    weights = tower.init(stream(0, "w"))
    assert tower.lift(X) is X
    torch.testing.assert_close(tower.embed(weights, X), NET.embed(weights, X))
    assert tower.layout.size == sum(w.numel() for w in weights.values())


def test_a_frozen_part_is_looked_through_and_not_trained() -> None:
    tower = frozen()
    weights = tower.init(stream(0, "w"))
    assert list(weights) == list(tower.trained.init(stream(0, "w")))
    lifted = tower.lift(X)
    torch.testing.assert_close(lifted, NET.embed(tower.constants, X))
    torch.testing.assert_close(tower.embed(weights, lifted), tower.trained.embed(weights, lifted))
    assert tower.embedding == 6


def test_pixels_have_gradients_through_the_frozen_part() -> None:
    tower, x = frozen(), X.clone().requires_grad_()
    tower.embed(tower.init(stream(0, "w")), tower.lift(x)).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(w.grad is None for w in tower.constants.values())


def test_dropout_needs_a_draw() -> None:
    towers = two()
    weights = towers.init(lambda name: stream(0, name))
    batch = {"text": torch.randn(3, 5, generator=stream(0, "t"))}
    still, moved = towers.embed(weights, batch), towers.embed(weights, batch, stream(0, "draw"))
    torch.testing.assert_close(towers.embed(weights, batch)["text"], still["text"], rtol=0, atol=0)
    assert not torch.equal(still["text"], moved["text"])


def test_pretrained_weights_are_where_every_network_starts() -> None:
    start = NET.init(stream(7, "start"))
    towers = two(Tower("convnet", NET, start=start))
    first, second = (towers.init(lambda name, seed=seed: stream(seed, name)) for seed in (0, 1))
    assert all(torch.equal(first["image"][k], start[k]) for k in start)
    assert all(torch.equal(second["image"][k], start[k]) for k in start)
    assert not torch.equal(first["text"]["1.weight"], second["text"]["1.weight"])
    assert towers.towers["image"].pretrained
    assert not towers.towers["text"].pretrained


def test_the_id_says_architecture_and_shared_values() -> None:
    start = NET.init(stream(7, "start"))
    other = {**start, "0.scale": start["0.scale"] + 1}
    towers = [two(), two(Tower("convnet", NET, start=start)), two(Tower("convnet", NET, start=other)), two(frozen())]
    assert len({t.id for t in towers}) == 4
    same = two(Tower("convnet", dataclasses.replace(NET), start={k: w.clone() for k, w in start.items()}))
    assert same.id == towers[1].id
    assert frozen().id == frozen().id != dataclasses.replace(frozen(), constants=NET.init(stream(1, "frozen"))).id


def test_moved_towers_are_the_same() -> None:
    towers = two(frozen())
    moved = towers.to("cpu")
    assert moved.id == towers.id
    assert moved.towers["image"].device == torch.device("cpu")
    assert moved.layouts == towers.layouts


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError, match="does not stand on"):
        Tower("convnet", ProjectionHead(NET.embedding + 1, 6), frozen=NET)
    with pytest.raises(ConfigError, match="the weights to start from are not those"):
        Tower("convnet", NET, start=Linear(2, 2).init(stream(0, "w")))
    with pytest.raises(ConfigError, match="two towers of one width"):
        TwoTower({"image": Tower("convnet", NET), "text": Tower("head", ProjectionHead(5, NET.embedding + 1))})
    with pytest.raises(ConfigError, match="two towers of one width"):
        TwoTower({"text": Tower("head", HEAD)})
