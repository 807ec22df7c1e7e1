from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.banks import whole
from limbeck.banks.whole import whole_features
from limbeck.encoders import encoders_for
from limbeck.errors import ConfigError
from limbeck.training import Recipe, Rows, Student, train

RECIPE = Recipe(epochs=2)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    return tmp_path


def test_features_are_those_of_the_trained_student_without_augmentation(toy: Any, cache: Path) -> None:
    found = whole_features(toy, "train", channels=4, recipe=RECIPE)
    encoders = encoders_for(toy.modalities, channels=4)
    student = Student(encoders, toy.modalities, 4)
    weights = train(student, Rows.labelled(toy, "train", toy.modalities), RECIPE, [0])[0]
    for name, encoder in encoders.items():
        expected = encoder.embed(student.branch(weights, name), toy.batch(name, toy.rows("train")))
        assert found[name].shape == (80, encoder.embedding)
        np.testing.assert_allclose(found[name], expected.detach().numpy(), rtol=2e-3, atol=2e-3)
    assert not list(cache.glob("features/*.training"))


def test_features_are_kept_and_keyed_by_what_made_them(toy: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(cache.iterdir())
    calls: list[int] = []

    def counted(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        return train(*arguments, **settings)

    monkeypatch.setattr(whole, "train", counted)
    first = whole_features(toy, channels=4, recipe=RECIPE)
    again = whole_features(toy, channels=4, recipe=RECIPE)
    assert len(calls) == 1
    assert all(np.array_equal(first[k], again[k]) for k in first)
    whole_features(toy, channels=2, recipe=RECIPE)
    whole_features(toy, channels=4, recipe=Recipe(epochs=1))
    only = whole_features(toy, channels=4, recipe=RECIPE, modalities=["image"])
    assert list(only) == ["image"]
    assert len(calls) == 4
    file = Path(first["audio"].filename)  # type: ignore[attr-defined]
    file.write_bytes(file.read_bytes()[:-100])
    repaired = whole_features(toy, channels=4, recipe=RECIPE)
    assert len(calls) == 5
    assert np.array_equal(first["image"], repaired["image"])


def test_other_splits_see_the_same_networks(toy: Any, cache: Path) -> None:
    assert cache.exists()
    found = whole_features(toy, "test", channels=4, recipe=RECIPE)
    encoders = encoders_for(toy.modalities, channels=4)
    student = Student(encoders, toy.modalities, 4)
    weights = train(student, Rows.labelled(toy, "train", toy.modalities), RECIPE, [0])[0]
    expected = encoders["image"].embed(student.branch(weights, "image"), toy.batch("image", toy.rows("test")))
    assert torch.from_numpy(found["image"]).allclose(expected.detach().half(), rtol=2e-3, atol=2e-3)


def test_unknown_modality(toy: Any) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'image'"):
        whole_features(toy, modalities=["imag"])
