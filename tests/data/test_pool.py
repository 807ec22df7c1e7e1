"""Work over processes."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from limbeck.data.pool import spread


def squares_or_death(numbers: list[int]) -> list[int]:
    if 13 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)  # as a decoder does on a hostile file
    if 14 in numbers:
        while True:  # as a decoder may on another
            pass
    return [x * x for x in numbers]


def chunked(items: Iterable[Any], size: int = 8) -> Iterator[list[tuple[int, Any]]]:
    numbered = iter(enumerate(items))
    while chunk := list(itertools.islice(numbered, size)):
        yield chunk


@pytest.mark.parametrize("deadly", [[], [13], [13, 13, 13]])
def test_an_item_that_kills_its_worker_is_found(deadly: list[int]) -> None:
    items = [*range(13), *range(15, 60), *deadly]
    found = dict(spread(squares_or_death, chunked(items), workers=2, crashed=lambda x: -x))
    assert found == {k: -13 if x == 13 else x * x for k, x in enumerate(items)}


def test_an_item_that_hangs_its_worker_is_found() -> None:
    found = dict(spread(squares_or_death, chunked([1, 2, 14, 3], 2), workers=2, crashed=lambda x: -x, patience=0.4))
    assert found == {0: 1, 1: 4, 2: -14, 3: 9}


def test_one_worker_is_this_process() -> None:
    found = spread(lambda xs: [(x, os.getpid()) for x in xs], chunked("abc", 2), workers=1, crashed=lambda x: (x, 0))
    assert dict(found) == {k: (x, os.getpid()) for k, x in enumerate("abc")}


def test_work_can_be_left() -> None:
    work = spread(squares_or_death, chunked(range(15, 10_000_000)), workers=2, crashed=lambda x: x)
    assert next(work)[1] >= 196
    work.close()  # type: ignore[attr-defined]
