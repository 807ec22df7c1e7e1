"""What the steps of a run came to: metrics.jsonl, and TensorBoard where asked for."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import IO, Any

__all__ = ["Metrics", "MetricsFile"]


@dataclass(frozen=True)
class Metrics:
    """What one step came to."""

    step: int
    terms: dict[str, float]

    def line(self, seconds: float, items_per_second: float) -> str:
        """As metrics.jsonl holds it."""
        record = {
            "step": self.step,
            "loss": sum(self.terms.values()),
            "terms": self.terms,
            "seconds": round(seconds, 4),
            "items_per_second": round(items_per_second, 1),
        }
        return json.dumps(record) + "\n"


class MetricsFile:
    """metrics.jsonl, and TensorBoard where asked for."""

    def __init__(self, file: IO[str], per_step: int, seconds: float, board: Any = None) -> None:
        self._file, self._per_step, self._board = file, per_step, board
        self._before = seconds
        self._start = self._last = time.monotonic()
        self.rate = 0.0

    @property
    def seconds(self) -> float:
        """Spent on the steps so far, earlier sessions included."""
        return self._before + time.monotonic() - self._start

    def write(self, metrics: Metrics) -> None:
        now = time.monotonic()
        self.rate = self._per_step / max(now - self._last, 1e-9)
        self._last = now
        self._file.write(metrics.line(self.seconds, self.rate))
        if self._board is not None:
            for name, value in metrics.terms.items():
                self._board.add_scalar(f"loss/{name}", value, metrics.step)

    def waited(self, seconds: float) -> None:
        """Leaves out time that was not spent on steps."""
        self._start += seconds
        self._last += seconds

    def close(self) -> None:
        """Everything written."""
        self._file.flush()
        if self._board is not None:
            self._board.close()

    def flush(self) -> int:
        """Bytes in the file, all of them written."""
        self._file.flush()
        os.fsync(self._file.fileno())  # a checkpoint may not outlive the lines it counts
        return self._file.tell()
