"""A study killed with all its processes, or interrupted, goes on: the same tables, and what was done is not touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import limbeck
from limbeck.studies.cells import read_state

DEADLINE = 120.0


def started(tiny: dict, out: Path, *more: str) -> subprocess.Popen:
    """`limbeck study`, in a process group of its own."""
    file = out.with_suffix(".json")
    file.write_text(json.dumps(tiny))
    command = [sys.executable, "-m", "limbeck", "study", str(file), "--out", str(out), *more]
    return subprocess.Popen(
        command,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )


def done(out: Path) -> list[str]:
    names = sorted(path.stem for path in (out / "cells").glob("*.json"))
    return [name for name in names if read_state(out, name)["state"] == "done"]


def wait_for(process: subprocess.Popen, ready) -> None:
    start = time.monotonic()
    while not ready():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() - start < DEADLINE
        time.sleep(0.01)


def end(process: subprocess.Popen) -> str:
    """What it said, once it and all it started are gone: its pipe is theirs."""
    return process.communicate(timeout=DEADLINE)[1]


def timeless(found: object) -> object:
    if isinstance(found, dict):
        return {k: timeless(v) for k, v in found.items() if k != "seconds"}
    return [timeless(one) for one in found] if isinstance(found, list) else found


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """The uninterrupted study's comparison."""
    from tests.studies.conftest import TINY

    return limbeck.study({"data": str(toy.path), **TINY}, tmp_path_factory.mktemp("whole") / "out", workers=1)


def snapshot(out: Path, names: list[str]) -> dict[Path, tuple[bytes, int]]:
    files = [path for name in names for path in (out / "runs" / name).rglob("*") if path.is_file()]
    files += [out / "cells" / f"{name}.json" for name in names]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.slow
@pytest.mark.timeout(600)  # four studies, each with processes of its own
def test_a_killed_study_goes_on(tiny, tmp_path, whole):
    """Interrupted after one cell, killed after three."""
    tiny |= {"name": "study"}
    out = tmp_path / "out"
    process = started(tiny, out, "--workers", "2")
    wait_for(process, lambda: len(done(out)) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    said = end(process)
    assert process.returncode == 130
    assert "--resume" in said
    assert "Traceback" not in said
    process = started(tiny, out, "--resume", "--workers", "1")
    wait_for(process, lambda: len(done(out)) >= 3)
    os.killpg(process.pid, signal.SIGKILL)
    end(process)
    finished = done(out)
    assert 3 <= len(finished) < len(whole["cells"])
    before = snapshot(out, finished)
    again = limbeck.study(tiny, out, workers=1, resume=True)
    assert snapshot(out, finished) == before
    assert timeless(again) == timeless(whole)
    assert json.loads((out / "comparison.json").read_text()) == again


def test_workers_do_not_outlive_their_study(tiny, tmp_path):
    """Killed alone, without its group."""
    tiny |= {"methods": [{"name": "dm", "settings": {"steps": 100_000}}], "baseline": None, "per_class": 1}
    out = tmp_path / "out"
    process = started(tiny, out, "--workers", "1")
    wait_for(process, lambda: (out / "runs" / "dm-1-s0" / "metrics.jsonl").exists())
    process.kill()
    end(process)  # the workers hold the pipe until they are gone
    assert not done(out)
