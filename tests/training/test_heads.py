"""How modalities become one prediction."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError
from limbeck.modalities import Audio, Feature, Image, Modality
from limbeck.training import FUSIONS, Recipe, Student, Tensors, predict, train
from tests.reference.fusion import attention

PAIR: dict[str, Modality] = {"image": Image(shape=(1, 16, 16)), "audio": Audio(shape=(1, 16, 12))}
THREE: dict[str, Modality] = {**PAIR, "feature": Feature(shape=(6,))}
SHORT = Recipe(epochs=3, batch=5, drops=(2,), rate=1e-3)


def some_student(fusion: str, modalities: dict[str, Modality] | None = None, channels: int = 4) -> Student:
    chosen = modalities or PAIR
    return Student(encoders_for(chosen, channels=channels), chosen, 3, fusion)


def some_data(modalities: dict[str, Modality] | None = None, n: int = 13) -> Tensors:
    g = torch.Generator().manual_seed(0)
    values = {name: torch.randn(n, *m.shape, generator=g) for name, m in (modalities or PAIR).items()}
    return Tensors(values, torch.arange(n) % 3)


def test_heads_have_the_papers_sizes() -> None:
    """AVDD, appendix D, at 10 classes and 6272 features; with attention the paper counts two heads it does not use."""
    published: dict[str, Modality] = {"image": Image(shape=(3, 224, 224)), "audio": Audio(shape=(1, 128, 56))}
    encoders = encoders_for(published)
    counts = {"attention": 192_798, "concat": 125_450, "sum": 62_730, "ensemble": 125_460}
    for fusion, count in counts.items():
        student = Student(encoders, published, 10, fusion)
        assert student.head.parameters == count
        held = sum(w.numel() for k, w in student.init(0).items() if "head" in k or k.startswith("fused/"))
        assert held == (count - 125_460 if fusion == "attention" else count)
        assert set(student.head.narrowness.values()) == {1.0}  # the published rates are for this width


@pytest.mark.parametrize("fusion", ["sum", "concat"])
def test_sum_and_concat_are_one_linear_layer(fusion: str) -> None:
    student = some_student(fusion, THREE)
    weights, batch = student.init(0), some_data(THREE).values
    weights["fused/head.weight"] = torch.randn_like(weights["fused/head.weight"])
    features = list(student.embed(weights, batch).values())
    joined = sum(features) if fusion == "sum" else torch.cat(features, 1)
    expected = joined @ weights["fused/head.weight"].T + weights["fused/head.bias"]
    found = student.logits(weights, batch)
    assert list(found) == ["fused"]
    torch.testing.assert_close(found["fused"], expected)


@pytest.mark.parametrize("order", [("image", "audio"), ("audio", "image")])
def test_attention_is_its_formula(order: tuple[str, str]) -> None:
    """The sound asks, whichever comes first."""
    student = some_student("attention", {name: PAIR[name] for name in order})
    g = torch.Generator().manual_seed(1)
    weights = {k: torch.randn(w.shape, generator=g).double() for k, w in student.init(0).items()}
    features = {name: torch.randn(5, student.encoders[name].embedding, generator=g).double() for name in order}
    found = student.head.logits(weights, features)["fused"]
    for n in range(5):
        expected = attention(features["audio"][n], features["image"][n], 4, weights)
        torch.testing.assert_close(found[n], expected, rtol=1e-10, atol=1e-10)


def test_without_a_sound_the_second_asks_the_first() -> None:
    pictures: dict[str, Modality] = {"image": PAIR["image"], "depth": Image(shape=(1, 16, 16))}
    student = Student(encoders_for(pictures, channels=4), pictures, 3, "attention")
    g = torch.Generator().manual_seed(1)
    weights = {k: torch.randn(w.shape, generator=g).double() for k, w in student.init(0).items()}
    features = {name: torch.randn(1, 64, generator=g).double() for name in pictures}
    found = student.head.logits(weights, features)["fused"][0]
    torch.testing.assert_close(found, attention(features["depth"][0], features["image"][0], 4, weights))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradients_are_exact_and_networks_stack(fusion: str) -> None:
    student = some_student(fusion, channels=2)
    g = torch.Generator().manual_seed(2)
    heads = [{k: w.double() for k, w in student.init(s).items() if "head" in k or "fused" in k} for s in range(2)]
    stacked = {k: torch.stack([h[k] for h in heads]).mul(30).requires_grad_() for k in heads[0]}
    features = {n: torch.randn(2, 3, e.embedding, generator=g).double() for n, e in student.encoders.items()}
    many = student.head.logits(stacked, features)
    for s in range(2):
        one = student.head.logits({k: w[s] for k, w in stacked.items()}, {n: x[s] for n, x in features.items()})
        for output in student.outputs:
            torch.testing.assert_close(many[output][s], one[output])
    inputs = [x.requires_grad_() for x in features.values()]
    torch.autograd.gradcheck(
        lambda *x: tuple(student.head.logits(stacked, dict(zip(features, x, strict=True))).values()), inputs
    )


@pytest.mark.parametrize("fusion", ["sum", "concat", "attention"])
def test_fused_students_trained_together_are_those_trained_alone(fusion: str) -> None:
    student, data = some_student(fusion), some_data()
    alone = train(student, data, SHORT, [3, 1, 4])
    together = train(student, data, SHORT, [3, 1, 4], at_once=3)
    for a, b in zip(alone, together, strict=True):
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=3e-5)
    start = student.init(3)
    assert all(not torch.equal(alone[0][k], start[k]) for k in start)  # no weight is left out of training
    assert predict(student, alone, data)[0]["fused"].shape == (13, 3)


def test_encoders_of_a_seed_are_the_same_under_every_fusion() -> None:
    students = {fusion: some_student(fusion).init(7) for fusion in FUSIONS}
    for weights in students.values():
        for key, w in students["ensemble"].items():
            assert "head" in key or torch.equal(weights[key], w)


def test_the_rate_of_a_fused_head_follows_its_width() -> None:
    data = some_data()
    for fusion, multiple in (("sum", 6272 / 64), ("concat", 2 * 6272 / 128), ("attention", 128 / 4)):
        student = some_student(fusion)
        recipe = Recipe(epochs=2, batch=5)
        ruled = train(student, data, recipe, [0])[0]
        plain = dataclasses.replace(recipe, head_rule="plain", head_rate=1e-4 * multiple)
        assert all(torch.equal(w, ruled[k]) for k, w in train(student, data, plain, [0])[0].items())


def test_fusions_that_cannot_be_are_told() -> None:
    with pytest.raises(ConfigError, match="unknown fusion 'atention'") as caught:
        some_student("atention")
    assert "attention" in str(caught.value)
    with pytest.raises(ConfigError, match="between two modalities, not 3"):
        some_student("attention", THREE)
    with pytest.raises(ConfigError, match=r"encoder of feature .* has none"):
        some_student("attention", {"image": PAIR["image"], "feature": THREE["feature"]})
    encoders = encoders_for({"image": PAIR["image"]}, channels=4) | encoders_for({"audio": PAIR["audio"]}, channels=8)
    with pytest.raises(ConfigError, match="equal channels and grids"):
        Student(encoders, PAIR, 3, "attention")
    with pytest.raises(ConfigError, match="image 64, audio 128"):
        Student(encoders, PAIR, 3, "sum")
    assert Student(encoders, PAIR, 3, "concat").head.parameters == 3 * (64 + 128 + 1)
