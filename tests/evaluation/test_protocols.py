"""What the protocols of heads and of training from scratch are, and that their scores keep apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.cli import main
from limbeck.errors import ConfigError
from limbeck.evaluation.compare import compare
from limbeck.evaluation.protocols import PROTOCOLS, protocol
from limbeck.evaluation.result import Result, Run
from limbeck.files import write_json

NEW = ("recognition-frozen-heads", "recognition-scratch", "retrieval-linear-heads", "retrieval-linear-heads-mixed")


def test_their_numbers_are_those_of_the_source() -> None:
    heads: Any = protocol("recognition-frozen-heads")
    assert (heads.frozen, heads.task, heads.fusion) == (True, "recognition", "ensemble")
    told = (heads.recipe.optimiser, heads.recipe.epochs, heads.recipe.batch, heads.recipe.drops)
    assert told == ("adam", 30, 32, (10, 20))
    assert (heads.recipe.rate, heads.recipe.weight_decay, len(heads.recipe.augment)) == (1e-3, 1e-4, 6)
    scratch: Any = protocol("recognition-scratch")
    assert (scratch.recipe.optimiser, scratch.recipe.momentum, scratch.frozen) == ("sgd", 0.5, False)
    assert scratch.recipe.rate is not None  # one for encoders and heads
    linear: Any = protocol("retrieval-linear-heads")
    recipe = linear.recipe
    assert (recipe.optimiser, recipe.rate("any"), recipe.weight_decay, recipe.temperature) == ("adam", 1e-3, 1e-4, 0.07)
    assert (recipe.epochs, recipe.batch, recipe.loss, recipe.drops, linear.linear) == (100, 16, "info_nce", (), 512)
    mixed: Any = protocol("retrieval-linear-heads-mixed")
    assert (recipe.replay, mixed.recipe.replay, mixed.recipe.own) == (False, True, 8)
    assert {**mixed.recipe.to_dict(), "replay": None} == {**recipe.to_dict(), "replay": None}


def test_they_are_listed(capsys: Any) -> None:
    assert main(["protocols", "--json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert set(NEW) <= set(cards)
    assert (cards["retrieval-linear-heads"]["linear"], cards["recognition-frozen-heads"]["frozen"]) == (512, True)
    assert "[choice" in cards["recognition-scratch"]["description"]
    assert set(cards["recognition-avdd"]) == {
        "name", "version", "description", "source", "task", "selection", "fusion", "recipe",
    }  # fmt: skip


def scored(path: Path, name: str, seed: int, **settings: Any) -> Path:
    """A result of one student."""
    found = Result(
        protocol=name, version=1, selection="last epoch", students=("identity",), seeds=(0,), split="test",
        dataset="toy", data_hash="x", settings=settings, runs=(Run("identity", 0, {"Mean": 5.0 + seed}),), chance=1.0,
        majority=None, seconds=0.0, metrics=("Mean",), notes=("Trained on real data.",) if "mixed" in name else (),
    ).to_dict()  # fmt: skip
    settings_of = {"settings": {"seed": seed, "pairs": 4}}
    write_json(path, {**found, "trained_on": {"method": "random", "items": 4, **settings_of}})
    return path


def test_scores_with_real_pairs_stand_apart(tmp_path: Path) -> None:
    alone, mixed = ("retrieval-linear-heads", "retrieval-linear-heads-mixed")
    one, other = scored(tmp_path / "a.json", alone, 0), scored(tmp_path / "b.json", mixed, 0, real_pairs=9)
    with pytest.raises(ConfigError, match="do not go into one table: protocol"):
        compare([one, other])
    table = compare([other, scored(tmp_path / "c.json", mixed, 1, real_pairs=9)])
    assert "Trained on real data." in table["notes"]
    assert table["rows"][0]["n"]["sets"] == 2


def test_whole_data_stands_beside_sets_that_were_augmented(tmp_path: Path) -> None:
    name = "recognition-frozen-heads"
    one = scored(tmp_path / "a.json", name, 0, augmented=True)
    compare([one, scored(tmp_path / "b.json", name, 1, augmented=False)])


@pytest.mark.parametrize("name", NEW)
def test_none_is_taken_for_another(name: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{name}'"):
        protocol(name + "s")
    assert PROTOCOLS[name].card()["recipe"]["epochs"] >= 30
