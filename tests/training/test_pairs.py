"""Two towers in training: the literal trainer's weights, and the same however it is cut."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from limbeck.encoders import ConvNet, Linear, ProjectionHead, Tower, TwoTower
from limbeck.errors import ConfigError, DataError, NumericsError, ShapeError
from limbeck.modalities import Feature, Image, Text
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from limbeck.training import pairs as module
from limbeck.training.pair_data import Lifted, SyntheticPairs
from limbeck.training.pairs import PairRecipe, train_pairs
from tests.reference.pairs import LiteralConv, LiteralHead, literal_train

SHORT = PairRecipe(epochs=4, batch=5, drops=(2, 3))
PLAIN = dataclasses.replace(SHORT, momentum=0.0, weight_decay=0.0, drops=(3,))


def vectors(n=13, features=6, text=4):
    g = torch.Generator().manual_seed(0)
    modalities = {"feature": Feature(shape=(features,)), "text": Text(shape=(text,))}
    values = {"feature": torch.randn(n, features, generator=g), "text": torch.randn(n, text, generator=g)}
    return SyntheticPairs(SyntheticSet(modalities, values))


def pictures(n=7, size=16):
    g = torch.Generator().manual_seed(0)
    modalities = {"image": Image(shape=(3, size, size)), "text": Text(shape=(4,))}
    values = {"image": torch.randn(n, 3, size, size, generator=g), "text": torch.randn(n, 4, generator=g)}
    return SyntheticPairs(SyntheticSet(modalities, values))


def heads(width=8, features=6, text=4):
    return TwoTower({n: Tower("head", ProjectionHead(f, width)) for n, f in (("feature", features), ("text", text))})


def convnet(size=16):
    return ConvNet(3, size, size, blocks=2, channels=4)


def conv_towers(size=16):
    net = convnet(size)
    return TwoTower({"image": Tower("convnet", net), "text": Tower("head", ProjectionHead(4, net.embedding))})


def frozen_towers(size=16, width=8):
    net = convnet(size)
    image = Tower("convnet", ProjectionHead(net.embedding, width), net, net.init(stream(3, "frozen")))
    return TwoTower({"image": image, "text": Tower("head", ProjectionHead(4, width))})


def fresh(towers, seed):
    return towers.init(lambda name: stream(seed, "pairs", "init", name))


def identity(x):
    return x


def same(a, b, **tolerance):
    for name in a:
        assert a[name].keys() == b[name].keys()
        for key, w in a[name].items():
            torch.testing.assert_close(w, b[name][key], **tolerance)


def equal(a, b):
    return all(torch.equal(w, b[name][k]) for name in a for k, w in a[name].items())


@pytest.mark.parametrize(
    "recipe",
    [
        SHORT,
        dataclasses.replace(SHORT, dropout=False, rates={"feature": 0.3, "text": 0.05}),
        dataclasses.replace(SHORT, batches="subsets", drop_last=False),
        dataclasses.replace(SHORT, drop_last=True, batch=64),
        dataclasses.replace(PLAIN, drop_last=True),
    ],
    ids=["whole", "two rates", "subsets", "one batch", "plain"],
)
def test_training_is_the_literal_one(recipe):
    towers, data = heads(), vectors()
    modules = {name: LiteralHead(w) for name, w in fresh(towers, 7).items()}
    expected = literal_train(modules, {"feature": identity, "text": identity}, data, recipe, 7)
    found = train_pairs(towers, data, recipe, 7)
    same(found, expected, rtol=1e-5, atol=1e-6)
    start = fresh(towers, 7)
    assert all(not torch.equal(w, start[n][k]) for n in found for k, w in found[n].items())  # nothing is left out


def test_a_learnt_similarity_weighs_every_pair():
    towers, data = heads(), vectors()
    g = torch.Generator().manual_seed(4)
    whole = torch.eye(len(data)) + 0.3 * torch.randn(len(data), len(data), generator=g)
    modules = {name: LiteralHead(w) for name, w in fresh(towers, 7).items()}
    recipe = dataclasses.replace(SHORT, loss="weighted_bce")
    expected = literal_train(modules, {"feature": identity, "text": identity}, data, recipe, 7, whole)
    found = train_pairs(towers, data, recipe, 7, similarity=lambda chosen: whole[chosen][:, chosen])
    same(found, expected, rtol=1e-4, atol=1e-5)
    assert not equal(found, train_pairs(towers, data, recipe, 7))


def test_the_identity_is_what_no_similarity_means():
    towers, data = heads(), vectors()
    for loss in ("info_nce", "weighted_bce"):
        recipe = dataclasses.replace(SHORT, loss=loss)
        plain = train_pairs(towers, data, recipe, 7)
        same(plain, train_pairs(towers, data, recipe, 7, similarity=lambda c: torch.eye(len(c))), rtol=1e-4, atol=1e-6)


def test_a_trained_convnet_is_the_literal_one():
    towers, data = conv_towers(), pictures()
    start = fresh(towers, 1)
    modules = {"image": LiteralConv(convnet(), start["image"]), "text": LiteralHead(start["text"])}
    recipe = dataclasses.replace(SHORT, batch=4)
    expected = literal_train(modules, {"image": identity, "text": identity}, data, recipe, 1)
    same(train_pairs(towers, data, recipe, 1), expected, rtol=1e-4, atol=1e-6)


def test_a_frozen_tower_is_gone_through_once():
    """Heads on what was lifted before are heads that see every item through the whole tower at each step."""
    towers, data = frozen_towers(), pictures()
    modules = {name: LiteralHead(w) for name, w in fresh(towers, 1).items()}
    expected = literal_train(modules, {"image": towers.towers["image"].lift, "text": identity}, data, SHORT, 1)
    found = train_pairs(towers, data, SHORT, 1)
    same(found, expected, rtol=1e-4, atol=1e-5)
    assert equal(found, train_pairs(towers, Lifted(data, towers), SHORT, 1))


@pytest.mark.parametrize("augment", ["none", "dsa", "randaugment"])
def test_epochs_one_by_one_are_the_whole(augment):
    towers, data = conv_towers(), pictures()
    recipe = dataclasses.replace(PLAIN, augment=augment)
    kept, steps = {}, []
    whole = train_pairs(towers, data, recipe, 3, after_epoch=lambda e, w: kept.update({e: w}), report=steps.append)
    weights = None
    for epoch in range(4):
        weights = train_pairs(towers, data, recipe, 3, weights=weights, epochs=range(epoch, epoch + 1))
        assert equal(weights, kept[epoch])
    assert equal(weights, whole)
    assert steps == list(range(1, 9))


def test_augmentation_is_of_the_first_modality_and_a_function_of_the_seed():
    towers, data = conv_towers(), pictures()
    found = {a: train_pairs(towers, data, dataclasses.replace(PLAIN, augment=a), 3) for a in ("none", "dsa")}
    assert not equal(found["none"], found["dsa"])
    again = train_pairs(towers, data, dataclasses.replace(PLAIN, augment="dsa"), 3)
    assert equal(found["dsa"], again)
    recipes = [dataclasses.replace(SHORT, augment=a) for a in ("none", "dsa", "randaugment")]
    flat = [train_pairs(heads(), vectors(), recipe, 3) for recipe in recipes]
    assert equal(flat[0], flat[1])  # vectors have nothing to augment
    assert equal(flat[0], flat[2])


def test_every_batch_is_augmented_anew(monkeypatch):
    seen = []
    monkeypatch.setattr(
        module, "transformed", lambda x, _, draw: seen.append(float(torch.rand((), generator=draw))) or x
    )
    train_pairs(conv_towers(), pictures(), dataclasses.replace(PLAIN, augment="randaugment"), 3)
    places = [(epoch, batch) for epoch in range(4) for batch in range(2)]
    assert seen == [float(torch.rand((), generator=stream(3, "pairs", "augment", e, b))) for e, b in places]


def test_a_training_hangs_on_its_seed_alone():
    towers, data = heads(), vectors()
    torch.manual_seed(1)
    one = train_pairs(towers, data, SHORT, 5)
    torch.manual_seed(2)
    train_pairs(towers, data, SHORT, 6)
    assert equal(one, train_pairs(towers, data, SHORT, 5))
    assert not equal(one, train_pairs(towers, data, SHORT, 6))
    start = fresh(towers, 5)
    other = train_pairs(towers, data, SHORT, 6, weights=start)
    assert not equal(one, other)  # from the same weights, in another order
    assert equal(start, fresh(towers, 5))  # which are left as they are


def test_an_observer_sees_every_pair_once_an_epoch():
    towers, data = heads(), vectors()
    seen, logits = [], []

    def observe(epoch, pairs, found):
        seen.append((epoch, pairs.tolist()))
        logits.append(found)

    watched = train_pairs(towers, data, SHORT, 5, observe=observe)
    assert equal(watched, train_pairs(towers, data, SHORT, 5))
    for epoch in range(4):
        assert sorted(p for e, pairs in seen if e == epoch for p in pairs) == list(range(13))
    assert [x.shape for x in logits[:3]] == [(5, 5), (5, 5), (3, 3)]
    assert not logits[0].requires_grad
    draw = stream(5, "pairs", "dropout", 0, 0)
    a, b = towers.embed(fresh(towers, 5), data.batch(torch.tensor(seen[0][1])), draw).values()
    torch.testing.assert_close(logits[0], torch.cosine_similarity(a[:, None], b[None], dim=-1) / 0.07)


def test_subsets_are_drawn_afresh_for_every_batch():
    towers, data, seen = heads(), vectors(), []
    recipe = dataclasses.replace(SHORT, batches="subsets", batch=8)
    train_pairs(towers, data, recipe, 5, observe=lambda _, pairs, __: seen.append(pairs.tolist()))
    assert len(seen) == 2 * 4
    assert all(len(set(pairs)) == 8 for pairs in seen)
    assert len({tuple(sorted(pairs)) for pairs in seen}) == 8


def test_networks_learn_their_pairs():
    data = vectors(n=40, features=10, text=10)
    towers = TwoTower({n: Tower("linear", Linear(10, 40)) for n in ("feature", "text")})
    weights = train_pairs(towers, data, PairRecipe(epochs=60, batch=20), 0)
    a, b = towers.embed(weights, data.batch(torch.arange(40))).values()
    hits = (torch.nn.functional.normalize(a) @ torch.nn.functional.normalize(b).T).argmax(1) == torch.arange(40)
    assert float(hits.float().mean()) > 0.5  # by chance 0.025


def test_a_recipe_is_json_and_refuses_what_is_not_there():
    recipe = PairRecipe(rates={"image": 0.1, "text": 0.2}, drops=(50,))
    assert json.loads(json.dumps(recipe.to_dict()))["rates"] == {"image": 0.1, "text": 0.2}
    later = {"optimiser", "replay"}  # not there where they are not used: caches are keyed by what was there before
    assert set(recipe.to_dict()) == {f.name for f in dataclasses.fields(PairRecipe)} - later
    assert PairRecipe(optimiser="adam", replay=True).to_dict().items() >= {"optimiser": "adam", "replay": True}.items()
    assert PairRecipe().to_dict()["rates"] == 0.1
    assert [recipe.decay(e) for e in (0, 49, 50)] == [1.0, 1.0, 0.1]
    assert [dataclasses.replace(recipe, drop_last=d).steps(n) for d in (True, False) for n in (10, 130)] == [1, 2, 1, 3]
    for wrong, message in (
        ({"loss": "info_nc"}, "Did you mean 'info_nce'"),
        ({"augment": "rand"}, "randaugment"),
        ({"batches": "all"}, "unknown batches"),
        ({"epochs": 0}, "0 epochs"),
        ({"rates": -0.1}, "learning rates of -0.1"),
        ({"rates": {"image": float("nan")}}, "learning rates"),
        ({"momentum": 1.0}, "momentum 1.0"),
        ({"temperature": 0.0}, "temperature 0.0"),
    ):
        with pytest.raises(ConfigError, match=message):
            PairRecipe(**wrong)


def test_what_cannot_be_trained_is_told():
    towers, data = heads(), vectors()
    with pytest.raises(ConfigError, match="no learning rate for 'text'"):
        train_pairs(towers, data, PairRecipe(rates={"feature": 0.1}), 0)
    with pytest.raises(ConfigError, match="towers of feature, text for pairs of image, text"):
        train_pairs(towers, pictures(), SHORT, 0)
    with pytest.raises(ConfigError, match="cannot begin at epoch 1"):
        train_pairs(towers, data, SHORT, 0, epochs=range(1, 2))
    with pytest.raises(ConfigError, match="epochs 3 to 4 of a recipe of 4"):
        train_pairs(towers, data, PLAIN, 0, epochs=range(3, 5))
    with pytest.raises(ConfigError, match="cannot be augmented"):
        train_pairs(towers, Lifted(data, towers), dataclasses.replace(SHORT, augment="dsa"), 0)
    with pytest.raises(ShapeError, match="not the weights of head-6-8"):
        train_pairs(towers, data, SHORT, 0, weights=fresh(heads(width=9), 0))
    empty = vectors()
    empty.owner = empty.owner[:0]
    with pytest.raises(DataError, match="nothing to train on"):
        train_pairs(towers, empty, SHORT, 0)
    with pytest.raises(NumericsError, match=r"epoch 0: two towers of seed 9 .* not finite"):
        train_pairs(towers, data, dataclasses.replace(SHORT, rates=1e38), 9)
