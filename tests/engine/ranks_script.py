"""Distils what a JSON file lists, one run after another, as any script of a user's would; started by torchrun in the
tests. What this rank opened for writing, and what ended its runs, is listed beside the file."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import limbeck
from limbeck.engine.metrics import MetricsFile
from limbeck.errors import LimbeckError, NumericsError

WRITING = os.O_WRONLY | os.O_RDWR
rank = int(os.environ["RANK"])
written: list[str] = []
ends: list[str] = []
fate: str | None = None
write = MetricsFile.write


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str):
        mode, flags = arguments[1], arguments[2]
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (mode is None and int(flags) & WRITING):
            written.append(arguments[0])


def after_two_steps(self, metrics):
    write(self, metrics)
    if metrics.step == 2 and rank == 1 and fate == "terminated":
        signal.raise_signal(signal.SIGTERM)
    if metrics.step == 2 and rank == 1 and fate == "failing":
        raise NumericsError("too large", where="step 2", hint="Mend it.")


if __name__ == "__main__":
    told = Path(sys.argv[1])
    MetricsFile.write = after_two_steps
    sys.addaudithook(watch)
    for run in json.loads(told.read_text()):
        fate = run.pop("fate", None)
        try:
            limbeck.distill(**run)
        except (LimbeckError, KeyboardInterrupt) as error:
            ends.append(f"{type(error).__name__}: {error} (said: {getattr(error, 'said', None)})")
    told.with_suffix(f".{rank}").write_text(json.dumps({"written": written, "ends": ends}))
