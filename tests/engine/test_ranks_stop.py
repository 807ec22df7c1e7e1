"""A rank that dies ends the others, which say so once; the run goes on with as many processes as there are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import limbeck

STEPS = 400
SETTINGS = {
    "per_class": 2, "steps": STEPS, "group": 2, "real_group": 1, "kernels": "literal", "channels": 8, "threads": 1,
    "device": "cpu", "real_batch": 8,
}  # fmt: skip
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="ranks are told apart by /proc")


def launched(*words: object) -> subprocess.Popen[str]:
    """Deaf to no Ctrl-C, as a shell starts it."""
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*command, "-m", "limbeck", "distill", "avdd", *map(str, words)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def rank_of(launcher: int, rank: int) -> int:
    """The process that the launcher started as ``rank``."""
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if f"\0RANK={rank}\0".encode() in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError(f"no rank {rank}")


def steps_done(out: Path) -> int:
    path = out / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(process: subprocess.Popen[str], out: Path, steps: int) -> None:
    until = time.monotonic() + 120
    while steps_done(out) < steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.slow
def test_a_dead_rank_ends_the_others_and_the_run_goes_on(toy, tmp_path, own_cache):
    whole = limbeck.distill("avdd", toy, out=tmp_path / "whole", **SETTINGS)
    out = tmp_path / "run"
    words = [word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", value)]
    first = ("--data", toy.path, "--out", out, *words)
    for start, rank in ((first, 1), (("--out", out, "--resume"), 0), (("--out", out, "--resume"), None)):
        before = steps_done(out)
        process = launched(*start)
        wait_for(process, out, before + 10)
        if rank is None:
            process.send_signal(signal.SIGTERM)
        else:
            os.kill(rank_of(process.pid, rank), signal.SIGKILL)
        began = time.monotonic()
        said, errors = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert process.returncode != 0
        assert said == ""
        wanted = "interrupted. The run goes on" if rank is None else f"rank {rank} of 2 stopped"
        assert errors.count("limbeck: ") == 1, errors
        assert f"limbeck: {wanted}" in errors
        assert rank is None or "Start the same command again with --resume." in errors
        assert (out / "checkpoint").exists() or rank == 0
        assert not (out / "synthetic").exists()
    assert "resumed after step" in (out / "log").read_text()
    assert "by 2 ranks" in (out / "log").read_text()
    again = limbeck.distill("avdd", out=out, resume=True)
    for name, value in whole.values.items():
        torch.testing.assert_close(again.values[name], value, rtol=1e-6, atol=1e-6)
    assert steps_done(out) == STEPS
