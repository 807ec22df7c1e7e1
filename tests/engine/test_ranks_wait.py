"""Where ranks wait for rank 0 they do it with patience, and each of too many is told before any waits."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

import limbeck
from limbeck.engine import run as run_module
from limbeck.engine.launch import speaks
from limbeck.engine.ranks import Ranks
from limbeck.engine.session import together
from limbeck.errors import ConfigError
from tests.evaluation.paired_toy import paired_store


class Noted:
    """Links to nobody, which note how they were used."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def sum_(self, _: torch.Tensor) -> None:
        self.seen.append("briefly")

    from_first_ = sum_

    def tell(self, value):
        self.seen.append("patiently")
        return value()

    def any(self, flag):
        self.seen.append("briefly")
        return flag

    def every(self, value):
        self.seen.append("briefly")
        return [value]


def test_a_look_at_the_validation_split_may_take_hours(tmp_path, monkeypatch):
    links = Noted()

    @contextmanager
    def one(_):
        yield Ranks(0, 1, links)

    def judge(_):
        links.seen.append("look")
        return {"Mean": 1.0}

    monkeypatch.setattr(run_module, "together", one)
    monkeypatch.setattr(run_module, "judge_for", lambda *_, **__: judge)
    limbeck.distill(
        "mdm", paired_store(tmp_path / "store"), out=tmp_path / "run", pairs=4, tower="convnet", pretrained="none",
        captions="hashing", channels=8, threads=1, device="cpu", kernels="literal", real_batch=8, steps=3,
        validate_every=2, method_settings={"experts": 2, "expert_epochs": 1, "expert_batch": 16},
    )  # fmt: skip
    after = [links.seen[k + 1] for k, what in enumerate(links.seen) if what == "look"]
    assert after == ["patiently"] * 3


def test_more_ranks_than_gpus_are_refused_by_all_and_one_says_so(monkeypatch):
    told = {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    spoke = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        with pytest.raises(ConfigError, match="2 GPUs for 3 ranks on this machine") as caught, together():
            pass
        spoke.append(speaks(caught.value))
    assert spoke == [False, False, True]
