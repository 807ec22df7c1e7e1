from __future__ import annotations

import platform

import pytest
import torch

from limbeck.encoders.machine import machine_name


def test_a_machine_is_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_name("cpu").startswith(platform.machine())
    assert machine_name(torch.device("cpu")) == machine_name("cpu")
    monkeypatch.setattr(torch.cuda, "get_device_name", str)
    assert machine_name("cuda:1") == "cuda:1"
