"""Linear heads by contrast: Adam, and batches of which half are real."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.encoders import Linear, Tower, TwoTower
from limbeck.encoders.identity import Identity
from limbeck.errors import ConfigError, DataError
from limbeck.evaluation.protocols import LINEAR_HEADS
from limbeck.modalities import Feature
from limbeck.rng import stream
from limbeck.synthetic import SyntheticSet
from limbeck.training.pair_data import SyntheticPairs
from limbeck.training.pairs import train_pairs
from tests.reference.heads import literal_contrast

MODALITIES = {"audio": Feature(name="audio", shape=(6,)), "text": Feature(name="text", shape=(4,))}
ALONE = dataclasses.replace(LINEAR_HEADS, epochs=4)
MIXED = dataclasses.replace(ALONE, replay=True)
TOWERS = TwoTower({"audio": Tower("identity", Linear(6, 5), Identity(6)), "text": Tower("head", Linear(4, 5))})


def pairs(count: int, seed: int = 0) -> SyntheticPairs:
    draw = torch.Generator().manual_seed(seed)
    values = {name: torch.randn(count, *m.shape, generator=draw) for name, m in MODALITIES.items()}
    return SyntheticPairs(SyntheticSet(modalities=dict(MODALITIES), values=values))


def values(data: SyntheticPairs) -> dict[str, Tensor]:
    return data.batch(torch.arange(len(data)))


@pytest.mark.parametrize("mixed", [False, True])
def test_they_are_what_a_plain_script_trains(mixed: bool) -> None:
    own, real = pairs(20), pairs(11, 1)
    trained = train_pairs(TOWERS, own, MIXED if mixed else ALONE, 3, replay=real if mixed else None)
    start = TOWERS.init(lambda name: stream(3, "pairs", "init", name))
    heads = literal_contrast(
        {name: (w["weight"], w["bias"]) for name, w in start.items()}, values(own), values(real) if mixed else None,
        ALONE, 3,
    )  # fmt: skip
    for name, head in heads.items():
        torch.testing.assert_close(trained[name]["weight"], head.weight.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(trained[name]["bias"], head.bias.detach(), rtol=1e-3, atol=1e-5)


class Counted:
    """Pairs that remember how many were asked for."""

    def __init__(self, data: SyntheticPairs) -> None:
        self.data, self.asked = data, []
        self.id, self.modalities, self.owner = data.id, data.modalities, data.owner

    def __len__(self) -> int:
        return len(self.data)

    def values(self, modality: str, chosen: Tensor) -> Tensor:
        return self.data.values(modality, chosen)

    def batch(self, chosen: Tensor) -> dict[str, Tensor]:
        self.asked.append(chosen.tolist())
        return self.data.batch(chosen)


def test_half_of_each_batch_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.training.pairs.Lifted", type("Never", (), {"__new__": lambda _, data, __: data}))
    own, real = Counted(pairs(20)), Counted(pairs(30, 1))
    train_pairs(TOWERS, own, MIXED, 0, replay=real)
    assert [len(chosen) for chosen in own.asked] == [8, 8, 4] * 4
    assert [len(chosen) for chosen in real.asked] == [8, 8, 4] * 4
    assert sorted(k for chosen in own.asked[:3] for k in chosen) == list(range(20))
    assert all(len(set(chosen)) == len(chosen) for chosen in real.asked)
    assert len({tuple(chosen) for chosen in real.asked}) == len(real.asked)  # drawn anew
    seen = [real.asked[:]]
    real.asked.clear()
    train_pairs(TOWERS, own, MIXED, 0, replay=real)
    assert real.asked == seen[0]
    real.asked.clear()
    train_pairs(TOWERS, own, MIXED, 1, replay=real)
    assert real.asked != seen[0]


def test_what_is_not_used_leaves_every_bit_and_every_key() -> None:
    sgd = dataclasses.replace(ALONE, optimiser="sgd", momentum=0.9, rates=0.1)
    assert "optimiser" not in sgd.to_dict()
    assert "replay" not in sgd.to_dict()
    assert ALONE.to_dict()["optimiser"] == "adam"
    assert MIXED.steps(20) == 3
    assert ALONE.steps(20) == 2
    a, b = (train_pairs(TOWERS, pairs(9), r, 0)["text"]["weight"] for r in (sgd, ALONE))
    assert not torch.allclose(a, b)


def test_mistakes_are_told() -> None:
    own, real = pairs(20), pairs(11, 1)
    with pytest.raises(ConfigError, match="a recipe that is of two sets"):
        train_pairs(TOWERS, own, MIXED, 0)
    with pytest.raises(ConfigError, match="a recipe that is not of two sets"):
        train_pairs(TOWERS, own, ALONE, 0, replay=real)
    with pytest.raises(DataError, match="5 pairs to draw 8 of"):
        train_pairs(TOWERS, own, MIXED, 0, replay=pairs(5))
    with pytest.raises(ConfigError, match="neither augmented nor weighed"):
        train_pairs(TOWERS, own, MIXED, 0, replay=real, similarity=lambda chosen: torch.eye(len(chosen)))
    with pytest.raises(ConfigError, match="half of a batch of 15"):
        dataclasses.replace(MIXED, batch=15)
    wrong: dict[str, Any] = {"optimiser": "adm"}
    with pytest.raises(ConfigError, match="Did you mean 'adam'"):
        dataclasses.replace(ALONE, **wrong)
    with pytest.raises(ConfigError, match="Adam cannot begin at epoch 2"):
        train_pairs(TOWERS, own, ALONE, 0, epochs=range(2, 4))
