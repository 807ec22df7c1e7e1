from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.banks import whole
from limbeck.banks.whole import whole_features
from limbeck.encoders import encoders_for, machine
from limbeck.errors import ConfigError
from limbeck.training import Recipe, Rows, Student, train

RECIPE = Recipe(epochs=2)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    monkeypatch.setattr(whole, "RECIPE", RECIPE)
    return tmp_path


def test_features_are_those_of_the_trained_student_without_augmentation(toy: Any, cache: Path) -> None:
    found = whole_features(toy, channels=4)
    encoders = encoders_for(toy.modalities, channels=4)
    student = Student(encoders, toy.modalities, 4)
    weights = train(student, Rows.labelled(toy, "train", toy.modalities), RECIPE, [0])[0]
    for name, encoder in encoders.items():
        expected = encoder.embed(student.branch(weights, name), toy.batch(name, toy.rows("train")))
        assert found[name].shape == (80, encoder.embedding)
        np.testing.assert_allclose(found[name], expected.detach().numpy(), rtol=2e-3, atol=2e-3)
    assert not list(cache.glob("features/*.training"))


@pytest.fixture
def trainings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    assert not any(cache.iterdir())
    calls: list[int] = []

    def counted(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        time.sleep(0.2)
        return train(*arguments, **settings)

    monkeypatch.setattr(whole, "train", counted)
    return calls


def test_features_are_kept_and_repaired(toy: Any, trainings: list[int]) -> None:
    first, again = whole_features(toy, channels=4), whole_features(toy, channels=4)
    assert len(trainings) == 1
    assert all(np.array_equal(first[k], again[k]) for k in first)
    file = Path(first["audio"].filename)  # type: ignore[attr-defined]
    file.write_bytes(file.read_bytes()[:-100])
    repaired = whole_features(toy, channels=4)
    assert len(trainings) == 2
    assert np.array_equal(first["image"], repaired["image"])


def test_features_are_keyed_by_what_made_them(toy: Any, trainings: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    whole_features(toy, channels=4)
    whole_features(toy, channels=2)
    assert list(whole_features(toy, channels=4, modalities=["image"])) == ["image"]
    changes: list[tuple[Any, str, Any]] = [
        (whole, "RECIPE", Recipe(epochs=1)),
        (machine, "machine_name", lambda _: "another"),
        (torch, "get_num_threads", lambda: 99),
    ]
    for where, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            whole_features(toy, channels=4)
    assert len(trainings) == 6


def test_two_at_the_same_time_train_once(toy: Any, cache: Path, trainings: list[int]) -> None:
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(whole_features(toy, channels=4, modalities=["image"])))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trainings) == 1
    assert np.array_equal(found[0]["image"], found[1]["image"])
    assert not list(cache.glob("features/*.training"))


def test_unknown_modality(toy: Any) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'image'"):
        whole_features(toy, modalities=["imag"])
