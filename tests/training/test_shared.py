"""The classifier that modalities share: ArcFace, and training in turns."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError
from limbeck.modalities import Audio, Image, Modality
from limbeck.rng import stream
from limbeck.training import Recipe, Student, Tensors, embed, predict, train
from limbeck.training.shared import arcface
from tests.reference import retrieval as literal

PAIR: dict[str, Modality] = {"image": Image(shape=(1, 16, 16)), "audio": Audio(shape=(1, 16, 12))}
SHORT = Recipe(epochs=2, batch=5, drops=(1,), rate=1e-3, augment=())


def some_student(channels: int = 4) -> Student:
    return Student(encoders_for(PAIR, channels=channels), PAIR, 3, "arcface")


def some_data(n: int = 13) -> Tensors:
    g = torch.Generator().manual_seed(0)
    return Tensors({name: torch.randn(n, *m.shape, generator=g) for name, m in PAIR.items()}, torch.arange(n) % 3)


def test_arcface_is_the_angle_with_its_margin() -> None:
    g = torch.Generator().manual_seed(0)
    cosines = torch.rand(20, 4, generator=g, dtype=torch.float64) * 1.98 - 0.99
    labels = torch.arange(20) % 4
    expected = torch.tensor(literal.arcface(cosines, labels, 3.0, 0.2), dtype=torch.float64)
    torch.testing.assert_close(arcface(cosines, labels), expected, rtol=1e-12, atol=1e-12)
    stacked = arcface(cosines.unflatten(0, (2, 10)), labels.unflatten(0, (2, 10)))
    torch.testing.assert_close(stacked.flatten(0, 1), expected)
    torch.testing.assert_close(arcface(cosines, labels, margin=0.0), 3 * cosines)
    torch.autograd.gradcheck(lambda x: arcface(x, labels), [cosines.requires_grad_()])


def test_arcface_at_the_ends_has_finite_slopes() -> None:
    cosines = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    logits = arcface(cosines, torch.zeros(2, dtype=torch.long))
    logits.sum().backward()
    assert bool(cosines.grad.isfinite().all())  # type: ignore[union-attr]
    assert logits[0, 0].item() == pytest.approx(3 * math.cos(0.2), abs=1e-3)


def test_one_batch_is_a_step_of_each_modality_after_the_other() -> None:
    """Written out with torch.optim.Adam: the second step sees the classifier as the first one left it."""
    student, data, seed = some_student(), some_data(), 3
    recipe = Recipe(epochs=1, batch=13, drops=(), rate=1e-3, augment=())
    ours = train(student, data, recipe, [seed])[0]

    weights = {k: w.requires_grad_() for k, w in student.init(seed).items()}
    adam = torch.optim.Adam(
        [
            {"params": [w for k, w in weights.items() if k.startswith(prefix)]}
            for prefix in ("image/", "audio/", "fused/")
        ],
        lr=1e-3,
        weight_decay=1e-4,
    )
    order = torch.randperm(13, generator=stream(seed, "student", "order", 0))
    for name in ("image", "audio"):
        features = student.encoders[name].embed(student.branch(weights, name), data.values[name][order])
        cosines = F.normalize(features) @ F.normalize(weights["fused/head.weight"]).T
        true = F.one_hot(data.labels[order], 3)
        logits = 3 * torch.where(true == 1, (cosines.acos() + 0.2).cos(), cosines)
        adam.zero_grad()
        F.cross_entropy(logits, data.labels[order]).backward()
        adam.step()
    start = student.init(seed)
    for key, w in weights.items():
        assert not torch.equal(ours[key], start[key])
        torch.testing.assert_close(ours[key], w.detach(), rtol=1e-3, atol=1e-5)


def test_shared_students_trained_together_are_those_trained_alone() -> None:
    student, data = some_student(), some_data()
    alone, together = (train(student, data, SHORT, [3, 1, 4], at_once=n) for n in (1, 3))
    for a, b in zip(alone, together, strict=True):
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=3e-5)
    found = embed(student, alone, data, chunk=4)[1]
    assert {name: tuple(x.shape) for name, x in found.items()} == {"image": (13, 64), "audio": (13, 64)}
    torch.testing.assert_close(found["image"], embed(student, alone, data)[1]["image"])
    cosines = predict(student, alone, data)[1]["audio"]
    expected = F.normalize(found["audio"]) @ F.normalize(alone[1]["fused/head.weight"]).T
    torch.testing.assert_close(cosines, expected)


def test_a_shared_classifier_needs_one_width() -> None:
    encoders = encoders_for({"image": PAIR["image"]}, channels=4) | encoders_for({"audio": PAIR["audio"]}, channels=8)
    with pytest.raises(ConfigError, match="one width"):
        Student(encoders, PAIR, 3, "arcface")
