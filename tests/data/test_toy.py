"""Generated sets: their answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limbeck.data.toy import class_means, make_toy
from limbeck.errors import ConfigError

ALL = ("image", "depth", "audio", "text", "feature")


def test_means_of_a_class_are_the_closed_form(tmp_path: Path) -> None:
    # difficulty 3: a third of the image's values lie beyond the borders, so that the clipped mean is put to the test
    toy = make_toy(
        tmp_path / "t", modalities=ALL, classes=2, per_class=(1500, 0, 0), image_size=6, mel=(5, 7), difficulty=3.0
    )
    for name in ALL:
        known = class_means(name, classes=2, image_size=6, mel=(5, 7), difficulty=3.0)
        for k in range(2):
            values = toy.stored(name, toy.rows("train", k)).double().numpy()
            error = (values.mean(0) - known[k]) / (values.std(0) / np.sqrt(len(values)))
            assert np.abs(error).max() < 5
            assert np.sqrt(np.mean(error**2)) < 2
    image = toy.stored("image", toy.rows("train")).numpy()
    assert np.mean((image == 0) | (image == 255)) > 0.1


def test_without_difficulty_items_are_their_class_mean(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "t", classes=2, per_class=(2, 0, 0), difficulty=0)
    known = class_means("image", classes=2, difficulty=0)
    assert np.abs(toy.stored("image", [0, 2]).numpy() - known).max() <= 0.5


def test_pairs_can_be_told_from_other_items_of_their_class(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "t", modalities=("image", "feature"), classes=1, per_class=(400, 0, 0), features=64)
    x = toy.stored("image", toy.rows()).double().numpy().reshape(400, -1)
    y = toy.stored("feature", toy.rows()).double().numpy()
    x, y = x - x.mean(0), y - y.mean(0)
    fit = np.linalg.lstsq(x[:200], y[:200], rcond=1e-6)[0]
    score = (x[200:] @ fit) @ y[200:].T
    assert np.mean(score.argmax(1) == np.arange(200)) > 0.05  # chance is 0.005


def test_toy_sizes_and_errors(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "t", channels=1, image_size=1, mel=(1, 1), per_class=(1, 0, 0), captions=False)
    assert toy.modalities["image"].shape == (1, 1, 1)
    assert toy.captions[0] == ()
    with pytest.raises(ConfigError, match="audio"):
        make_toy(tmp_path / "u", modalities=("adio",))
    with pytest.raises(ConfigError, match="class"):
        make_toy(tmp_path / "u", classes=0)
