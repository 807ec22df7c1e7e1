"""Distils what a JSON file lists, one run after another, as any script of a user's would; started by torchrun in the
tests. What this rank opened for writing is listed beside the file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import limbeck

WRITING = os.O_WRONLY | os.O_RDWR
written: list[str] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str):
        mode, flags = arguments[1], arguments[2]
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (mode is None and int(flags) & WRITING):
            written.append(arguments[0])


if __name__ == "__main__":
    told = Path(sys.argv[1])
    sys.addaudithook(watch)
    for run in json.loads(told.read_text()):
        try:
            limbeck.distill(**run)
        except limbeck.errors.LimbeckError as error:
            written.append(f"{type(error).__name__}: {error.what}")
    told.with_suffix(f".{os.environ['RANK']}").write_text("\n".join(written))
