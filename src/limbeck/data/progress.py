"""How far a preparation is: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Advance", "progress_of"]

EVERY = 10.0
"""Seconds between two plain lines."""


class Advance(Protocol):
    """Tell that one more item is through."""

    def __call__(self, *, skipped: bool = False) -> None: ...


@contextmanager
def progress_of(title: str, total: int, *, done: int = 0, show: bool = True) -> Iterator[Advance]:
    """Shows items done, items/s and time left on standard error; ``done`` items were through before."""
    if show and sys.stderr.isatty():
        with _bar(title, total, done) as bar:
            yield bar
        return
    start = last = time.monotonic()
    through = skips = 0

    def line() -> None:
        rate = through / max(1e-9, time.monotonic() - start)
        left = (total - done - through) / max(1e-9, rate)
        bad = f", {skips} skipped" if skips else ""
        print(f"{title}: {done + through}/{total}, {rate:.0f} items/s, {left:.0f} s left{bad}", file=sys.stderr)

    def advance(*, skipped: bool = False) -> None:
        nonlocal through, skips, last
        through += 1
        skips += skipped
        if show and time.monotonic() - last > EVERY:
            last = time.monotonic()
            line()

    yield advance
    if show and through:
        line()


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} items/s"),
        TextColumn("{task.fields[skips]} skipped"),
        TimeRemainingColumn(),
    )
    start, through, skips = time.monotonic(), 0, 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, rate=0.0, skips=0)

        def advance(*, skipped: bool = False) -> None:
            nonlocal through, skips
            through += 1
            skips += skipped
            rate = through / max(1e-9, time.monotonic() - start)
            bar.update(task, advance=1, rate=rate, skips=skips)

        yield advance
