"""Ctrl-C, at a time of our choosing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Interrupted", "interruptible"]


class Interrupted(KeyboardInterrupt):
    """Between two steps; of several ranks, all of them after the same one."""


@contextmanager
def interruptible(*, launched: bool = False) -> Iterator[Callable[[], bool]]:
    """Inside the block, Ctrl-C only makes the yielded function true; a second Ctrl-C interrupts at once.

    Args:
        launched: by ``torchrun``, which says it by SIGTERM too, and again where a terminal has said it.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {n: signal.getsignal(n) for n in ((signal.SIGINT, signal.SIGTERM) if launched else (signal.SIGINT,))}

    def ask(number: int, _: object) -> None:
        asked.set()
        if not launched:
            signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
