from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.encoders import ConvNet
from limbeck.encoders.machine import choose_device
from limbeck.engine import groups as groups_module
from limbeck.engine.groups import groups, tuned_group
from limbeck.engine.numerics import Numerics
from limbeck.errors import ConfigError, MemoryLimitError

NUMERICS = Numerics("cpu", 1, "literal", "fp32", 1, 1, torch.__version__)


@given(st.integers(1, 400), st.integers(1, 50))
def test_groups_hold_every_class_once(classes, size):
    found = groups(classes, size)
    assert [c for g in found for c in g] == list(range(classes))
    assert all(1 <= len(g) <= size for g in found)


def test_a_group_is_measured_once_for_a_machine(monkeypatch):
    measured = []
    monkeypatch.setattr(groups_module, "_fastest", lambda *a: (measured.append(a), a[2][-1])[1])
    encoders = {"image": ConvNet(3, 12, 12, 1, 5)}
    first = tuned_group(encoders, NUMERICS, items=40, classes=10, backward=True)
    assert tuned_group(encoders, NUMERICS, items=40, classes=10, backward=True) == first
    assert len(measured) == 1
    tuned_group(encoders, NUMERICS, items=40, classes=10, backward=False)
    assert len(measured) == 2


def test_candidates_fit_the_memory(monkeypatch):
    offered = []
    monkeypatch.setattr(groups_module, "_fastest", lambda *a: (offered.append(a[2]), a[2][-1])[1])
    monkeypatch.setattr(groups_module, "_total_bytes", lambda _: 4 * 100 * 4 * 4 * 6 * 13 * 13)
    tuned_group({"image": ConvNet(3, 13, 13, 1, 6)}, NUMERICS, items=10, classes=50, backward=False)
    tuned_group({"image": ConvNet(3, 13, 13, 1, 6)}, NUMERICS, items=16, classes=50, backward=True)
    assert offered[0] == [2, 3, 6]
    assert max(offered[1]) * 16 * 2 <= 100


def test_few_items_go_together():
    assert tuned_group({"image": ConvNet(3, 12, 12, 1, 5)}, NUMERICS, items=2, classes=10, backward=True) == 10


def test_a_measured_group_is_one_of_the_candidates():
    encoders = {"image": ConvNet(1, 8, 8, 1, 3)}
    assert 1 <= tuned_group(encoders, NUMERICS, items=8, classes=9, backward=True) <= 9


def test_devices_that_are_not_there():
    with pytest.raises(ConfigError, match="unknown device"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no GPU"):
            choose_device("cuda")
    for other in ("meta", "mps", "cuda:99"):
        with pytest.raises(ConfigError):
            choose_device(other)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (torch.OutOfMemoryError("full"), MemoryLimitError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), MemoryLimitError),
        (RuntimeError("something else"), RuntimeError),
    ],
)
def test_running_out_of_memory_is_said(toy, small, raised, kind):
    from limbeck.engine.initial import initial_set
    from limbeck.engine.loop import Loop
    from limbeck.engine.plan import plan

    planned = plan("dm", toy, settings={**small, "per_class": 1})
    loop = Loop(planned, initial_set(toy, planned.settings, planned.numerics, {}))

    def full(_):
        raise raised

    loop.objective.real = full
    with pytest.raises(kind, match="--group" if kind is MemoryLimitError else "something else"):
        next(loop.run(1))
