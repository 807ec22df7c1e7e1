"""Work over processes."""

from __future__ import annotations

import os
import signal

import pytest

from limbeck.data.pool import spread


def square_or_die(x: int) -> int:
    if x == 13:
        os.kill(os.getpid(), signal.SIGKILL)  # as a decoder does on a hostile file
    return x * x


@pytest.mark.parametrize("deadly", [[], [13], [13, 13, 13]])
def test_an_item_that_kills_its_worker_is_found(deadly: list[int]) -> None:
    items = [*range(13), *range(14, 60), *deadly]
    found = dict(spread(square_or_die, enumerate(items), workers=2, crashed=lambda x: -x))
    assert found == {k: -13 if x == 13 else x * x for k, x in enumerate(items)}


def test_one_worker_is_this_process() -> None:
    found = spread(lambda x: (x, os.getpid()), enumerate("abc"), workers=1, crashed=lambda x: (x, 0))
    assert dict(found) == {k: (x, os.getpid()) for k, x in enumerate("abc")}


def test_work_can_be_left() -> None:
    work = spread(square_or_die, enumerate(range(14, 10_000_000)), workers=2, crashed=lambda x: x)
    assert next(work)[1] >= 196
    work.close()  # type: ignore[attr-defined]
