"""Students whose encoders stand still: heads alone are trained, and nothing is embedded more often than it changes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from limbeck.encoders import Linear, encoders_for
from limbeck.encoders.identity import Identity
from limbeck.errors import ConfigError
from limbeck.modalities import Audio, Feature, Image
from limbeck.training import Embedded, Recipe, Student, Tensors, predict, train
from tests.reference.heads import literal_heads

MODALITIES = {"image": Image(shape=(3, 8, 8)), "audio": Audio(shape=(1, 8, 8)), "feature": Feature(shape=(5,))}
RECIPE = Recipe(epochs=5, batch=4, rate=1e-3, drops=(2, 4))
CLASSES = 3


def stands(fusion: str = "ensemble", names: tuple[str, ...] = tuple(MODALITIES)) -> Student:
    modalities = {name: MODALITIES[name] for name in names}
    encoders = encoders_for(modalities, channels=4)
    if "feature" in names and fusion == "ensemble":
        encoders = {**encoders, "feature": Identity(5)}
    draw = torch.Generator().manual_seed(3)
    return Student(encoders, modalities, CLASSES, fusion, {name: e.init(draw) for name, e in encoders.items()})


def items(count: int = 10, names: tuple[str, ...] = tuple(MODALITIES)) -> Tensors:
    draw = torch.Generator().manual_seed(4)
    values = {name: torch.randn(count, *MODALITIES[name].shape, generator=draw) for name in names}
    return Tensors(values, torch.arange(count) % CLASSES)


def test_heads_are_what_a_plain_script_trains() -> None:
    student, data = stands(), items()
    before = {name: {k: w.clone() for k, w in own.items()} for name, own in student.constants.items()}
    weights = train(student, data, RECIPE, [7])[0]
    fresh = student.init(7)
    heads = literal_heads(
        {name: _embed(student, name) for name in student.encoders},
        data.values,
        data.labels,
        {name: (fresh[f"{name}/head.weight"], fresh[f"{name}/head.bias"]) for name in student.encoders},
        RECIPE,
        7,
        augmented=("image", "audio"),
    )
    for name, head in heads.items():
        torch.testing.assert_close(weights[f"{name}/head.weight"], head.weight.detach(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(weights[f"{name}/head.bias"], head.bias.detach(), rtol=1e-4, atol=1e-6)
    assert all(torch.equal(before[n][k], w) for n, own in student.constants.items() for k, w in own.items())


def _embed(student: Student, name: str):
    return lambda x: student.encoders[name].embed(student.constants[name], x)


def test_only_heads_are_weights() -> None:
    student = stands()
    assert set(student.init(0)) == {f"{name}/head.{part}" for name in MODALITIES for part in ("weight", "bias")}
    learning = dataclasses.replace(student, constants={})
    assert len(learning.init(0)) > len(student.init(0))
    assert all(torch.equal(learning.init(0)[k], w) for k, w in student.init(0).items() if "feature" in k)
    other = {**student.constants, "image": {k: w + 1 for k, w in student.constants["image"].items()}}
    assert dataclasses.replace(student, constants=other).id != student.id
    assert dataclasses.replace(student).id == student.id


def test_several_seeds_are_each_as_if_alone() -> None:
    student, data = stands(), items()
    together = train(student, data, RECIPE, [0, 5, 2], at_once=3)
    for seed, weights in zip((0, 5, 2), together, strict=True):
        alone = train(student, data, RECIPE, [seed])[0]
        for name, w in weights.items():
            torch.testing.assert_close(w, alone[name], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(together[0]["image/head.weight"], together[1]["image/head.weight"])


def test_items_that_are_embedded_train_and_score_as_if_they_were_not() -> None:
    student, data = stands(), items()
    direct = train(student, data, RECIPE, [1])
    kept = Embedded(data, student, ["feature"])
    part = train(student.above(["feature"]), kept, RECIPE, [1])
    assert all(torch.equal(w, part[0][name]) for name, w in direct[0].items())
    plain = dataclasses.replace(RECIPE, augment=())
    direct, whole = train(student, data, plain, [1]), train(student.above(), Embedded(data, student), plain, [1])
    for name, w in direct[0].items():
        torch.testing.assert_close(w, whole[0][name], rtol=1e-5, atol=1e-7)
    expected = student.logits(direct[0], data.batch(torch.arange(len(data))))
    for name, logits in predict(student, direct, data, chunk=3)[0].items():
        torch.testing.assert_close(logits, expected[name], rtol=1e-4, atol=1e-5)
    assert kept.id != data.id
    assert set(kept.batch(torch.arange(2))) == set(MODALITIES)
    assert kept.batch(torch.tensor([1]))["image"].shape == (1, 3, 8, 8)


def test_augmentation_reaches_what_is_spatial_and_not_embedded() -> None:
    student, data = stands(), items()
    plain, changed = (train(student, data, dataclasses.replace(RECIPE, augment=a), [0])[0] for a in ((), ("flip",)))
    assert not torch.allclose(plain["image/head.weight"], changed["image/head.weight"], atol=1e-7)
    assert torch.equal(plain["feature/head.weight"], changed["feature/head.weight"])
    still = train(student.above(), Embedded(data, student), dataclasses.replace(RECIPE, augment=("flip",)), [0])[0]
    torch.testing.assert_close(still["image/head.weight"], plain["image/head.weight"], rtol=1e-4, atol=1e-7)


def test_items_are_embedded_once_for_all_networks_that_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    student = stands(names=("feature",))
    seen: list[int] = []
    original = Identity.embed
    monkeypatch.setattr(Identity, "embed", lambda s, w, x: (seen.append(len(x)), original(s, w, x))[1])
    predict(student, [student.init(k) for k in range(4)], items(6, ("feature",)))
    assert seen == [6]


@pytest.mark.parametrize("fusion", ["sum", "concat", "attention"])
def test_fusions_stand_on_what_stands_still(fusion: str) -> None:
    names = ("image", "audio")
    student, data = stands(fusion, names), items(names=names)
    plain = dataclasses.replace(RECIPE, augment=())
    direct, kept = train(student, data, plain, [0])[0], train(student.above(), Embedded(data, student), plain, [0])[0]
    assert {name.partition("/")[0] for name in direct} == {"fused"}
    for name, w in direct.items():
        torch.testing.assert_close(w, kept[name], rtol=1e-4, atol=1e-6)


def test_one_may_stand_still_while_the_other_learns() -> None:
    names = ("image", "audio")
    student = stands(names=names)
    mixed = dataclasses.replace(student, constants={"audio": student.constants["audio"]})
    trained = train(mixed, items(names=names), RECIPE, [0])[0]
    moved = {name for name, w in mixed.init(0).items() if not torch.equal(w, trained[name])}
    assert any(name.startswith("image/") and "head" not in name for name in moved)
    assert {name for name in trained if name.startswith("audio/")} == {"audio/head.weight", "audio/head.bias"}


def test_what_cannot_stand_still() -> None:
    encoders = {"feature": Linear(5, 3)}
    with pytest.raises(ConfigError, match="image stands still"):
        Student(encoders, {"feature": MODALITIES["feature"]}, 2, constants={"image": {}})
    with pytest.raises(ConfigError, match="feature stands still"):
        Student(encoders, {"feature": MODALITIES["feature"]}, 2).above(["feature"])
