"""Which cell is next, what waits, and what can no longer be."""

from __future__ import annotations

import pytest

from limbeck.errors import ConfigError
from limbeck.studies.hands import Hands
from limbeck.studies.queue import Queue
from limbeck.studies.spec import Cell, Chosen

DM = Chosen("dm", "dm")


def cell(name: str, made_of: str | None = None) -> Cell:
    return Cell(name, DM, ("per_class", 1), 0, made_of=made_of)


def test_what_is_made_of_a_cell_waits_for_it():
    queue = Queue([cell("a"), cell("a-uint8", "a"), cell("b")], ())
    assert [found.name for found in (queue.take(), queue.take())] == ["a", "b"]
    assert queue.take() is None
    queue.settle("a", failed=False)
    assert queue.take().name == "a-uint8"
    assert (queue.waiting, queue.settled) == ([], 1)


def test_what_is_made_of_a_failed_cell_fails_down_to_the_last():
    cells = [cell("a"), cell("a-uint8", "a"), cell("control", "a-uint8"), cell("b")]
    queue = Queue(cells, {"b"})
    assert not queue.orphans()
    queue.settle(queue.take().name, failed=True)
    assert [found.name for found in queue.orphans()] == ["a-uint8", "control"]
    assert (queue.waiting, queue.failed, queue.settled) == ([], {"a", "a-uint8", "control"}, 4)
    assert not queue.orphans()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"executor": "rey"}, "'ray'"),
        ({"workers": 0}, "workers is 0"),
        ({"address": "auto"}, "--executor ray"),
    ],
)
def test_who_works_is_checked_first(asked, words):
    with pytest.raises(ConfigError) as caught:
        Hands(**asked)
    assert words in str(caught.value)


def test_threads_share_the_machine(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("limbeck.studies.local.cores", lambda: 16)
    assert [Hands(workers=w).threads(24) for w in (1, 3, 32)] == [16, 5, 1]
    assert Hands().threads(24) == 2  # eight workers
    assert Hands(executor="ray").threads(24) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [Hands(workers=w).threads(24) for w in (1, 3, 32)] == [3, 3, 1]
