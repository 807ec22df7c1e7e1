"""How far work is: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

__all__ = ["Progress"]

QUIET_SECONDS = 15.0
"""Between lines where there is no terminal."""


class Progress:
    """Steps done of ``total``, with the loss terms, items a second, time left and memory. Writes to standard error.

    Args:
        title: what is being done.
        total: steps.
        done: steps done before, by a run that is resumed.
        shown: False says nothing.
    """

    def __init__(self, title: str, total: int, *, done: int = 0, shown: bool = True) -> None:
        self.title, self.total, self.done, self.shown = title, total, done, shown and total > done
        self._bar: Any = None
        self._start = self._said = time.monotonic()
        self._first = done

    def __enter__(self) -> Self:
        if self.shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"), console=Console(stderr=True), transient=False,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.done, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def rate(self, items: int) -> float:
        """Items a second so far, at ``items`` a step."""
        return (self.done - self._first) * items / max(time.monotonic() - self._start, 1e-9)

    def update(self, done: int, terms: Mapping[str, float], rate: float) -> None:
        """Say that ``done`` steps are done. ``rate`` is in items a second."""
        self.done = done
        if not self.shown:
            return
        if self._bar is None and time.monotonic() - self._said < QUIET_SECONDS and done < self.total:
            return
        note = "  ".join([*(f"{k} {v:.4g}" for k, v in terms.items()), f"{rate:.0f} items/s", f"{_memory():.1f} GB"])
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
            return
        self._said = time.monotonic()
        left = (self._said - self._start) / max(1, done - self._first) * (self.total - done)
        print(f"{self.title}: {done}/{self.total}  {note}  {left:.0f} s left", file=sys.stderr, flush=True)


def _memory() -> float:
    """Gigabytes this process holds, on the GPU where it uses one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_allocated()) / 1e9
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024) / 1e9
