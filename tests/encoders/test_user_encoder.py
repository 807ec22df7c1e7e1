"""Encoders of the user's own: what they may be, and that whatever goes wrong in them is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from limbeck.encoders.callable import user_encoder
from limbeck.errors import ConfigError, ShapeError
from limbeck.modalities import Image
from limbeck.rng import stream

PICTURE = Image(shape=(3, 8, 8))
CODE = """
import torch
from torch import nn

def network(modality):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 5))

def plain(modality):
    return lambda x: x.mean((2, 3)) * modality.shape[0]

def nothing(modality):
    return 3

def flat(modality):
    return lambda x: x

def picky(modality):
    return lambda x: x.mean((2, 3)) if len(x) < 3 else 1 / 0

def broken(modality):
    raise RuntimeError("no such checkpoint")

number = 7
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "users_own_nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)  # found where the user works, without any path
    monkeypatch.delitem(__import__("sys").modules, "users_own_nets", raising=False)
    return "users_own_nets"


def test_a_module_is_a_function_of_its_weights_and_buffers(module: str) -> None:
    net = user_encoder(f"{module}:network", PICTURE)
    weights = net.init(stream(0, "w"))
    assert net.embedding == 5
    assert {"1.running_mean", "2.weight"} < set(weights)
    x = torch.randn(4, 3, 8, 8, generator=stream(0, "x"), requires_grad=True)
    flat = x.flatten(1) / (1 + 1e-5) ** 0.5  # evaluation mode: the running statistics are 0 and 1
    torch.testing.assert_close(net.embed(weights, x), flat @ weights["2.weight"].T + weights["2.bias"])
    doubled = {**weights, "2.weight": 2 * weights["2.weight"], "2.bias": 2 * weights["2.bias"]}
    torch.testing.assert_close(net.embed(doubled, x), 2 * net.embed(weights, x))
    (slope,) = torch.autograd.grad(net.embed(weights, x).sum(), x)
    assert bool(slope.abs().sum() > 0)


def test_a_plain_function_does_too(module: str) -> None:
    net = user_encoder(f"{module}:plain", PICTURE)
    x = torch.randn(4, 3, 8, 8, generator=stream(0, "x"))
    torch.testing.assert_close(net.embed({}, x), 3 * x.mean((2, 3)))
    assert net.init(stream(0, "w")) == {}
    with pytest.raises(ShapeError):
        net.embed({}, x[:, :, :4])


def test_another_file_is_another_encoder(module: str, tmp_path: Path) -> None:
    before = user_encoder(f"{module}:plain", PICTURE).id
    (tmp_path / "users_own_nets.py").write_text(CODE + "\n# changed\n")
    assert user_encoder(f"{module}:plain", PICTURE).id != before


def test_other_weights_behind_the_same_code_are_another_encoder(module: str, tmp_path: Path) -> None:
    code = "\ndef reading(modality):\n    w = torch.load('w.pt')\n    return lambda x: x.mean((2, 3)) @ w\n"
    (tmp_path / "users_own_nets.py").write_text(CODE + code)
    ids = []
    for scale in (1.0, 1.0, 1.1):
        torch.save(scale * torch.eye(3), tmp_path / "w.pt")
        ids.append(user_encoder(f"{module}:reading", PICTURE).id)
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("users_own_nets:nothing", "gives int, which embeds nothing"),
        ("users_own_nets:flat", r"2 items of \(3, 8, 8\) give \(2, 3, 8, 8\)"),
        ("users_own_nets:broken", "RuntimeError: no such checkpoint"),
        ("users_own_nets:number", "has no function 'number'"),
        ("users_own_nets:missing", "has no function 'missing'"),
        ("not_there_at_all:net", "No module named 'not_there_at_all'"),
        ("os:system", "failed: TypeError"),
        (":", "failed: ValueError"),
    ],
)
def test_what_goes_wrong_is_said(spec: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        user_encoder(spec, PICTURE)
    assert caught.value.where == spec


def test_what_fails_later_is_said_too(module: str) -> None:
    net = user_encoder(f"{module}:picky", PICTURE)
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        net.embed({}, torch.zeros(3, 3, 8, 8))
