"""A rank that dies ends the others, which say so once; the run goes on with as many processes as there are."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import limbeck

STEPS = 120
SETTINGS = {
    "per_class": 2, "steps": STEPS, "group": 2, "real_group": 1, "kernels": "literal", "channels": 8, "threads": 1,
    "device": "cpu", "real_batch": 8,
}  # fmt: skip
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="ranks are told apart by /proc")


def torchrun(*words: str) -> tuple[list[subprocess.Popen[str]], list[int]]:
    """Processes to wait for, and the ranks' ids once they are there."""
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = started([*command, *words])
    until = time.monotonic() + 120
    while len(found := children(process.pid)) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    return [process], [found[0], found[1]]


def by_hand(*words: str) -> tuple[list[subprocess.Popen[str]], list[int]]:
    """The same without a launcher that would end one rank for the other."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    same = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        started([sys.executable, *words], same | {"RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in (0, 1)
    ]
    return processes, [process.pid for process in processes]


def started(command: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    own = {**os.environ, **(environment or {})}
    return subprocess.Popen(command, env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def children(launcher: int) -> dict[int, int]:
    """By rank the processes that a launcher has started."""
    found = {}
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        rank = re.search(rb"\0RANK=(\d)\0", Path(f"/proc/{child}/environ").read_bytes())
        if rank is not None:
            found[int(rank[1])] = int(child)
    return found


def steps_done(out: Path) -> int:
    path = out / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_a_dead_rank_ends_the_other_and_the_run_goes_on(toy, tmp_path):
    whole = limbeck.distill("avdd", toy, out=tmp_path / "whole", **SETTINGS)
    out, verb = tmp_path / "run", ("-m", "limbeck", "distill", "avdd")
    given = [str(word) for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", value)]
    first, more = ("--data", str(toy.path), "--out", str(out), *given), ("--out", str(out), "--resume")
    for launch, words, rank in ((torchrun, first, 1), (by_hand, more, 0)):
        before, until = steps_done(out), time.monotonic() + 120
        processes, ranks = launch(*verb, *words)
        while steps_done(out) < before + 5:
            assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
            assert time.monotonic() < until
            time.sleep(0.005)
        os.kill(ranks[rank], signal.SIGKILL)
        killed = time.monotonic()
        said = [process.communicate(timeout=60) for process in processes]
        assert time.monotonic() - killed < 30  # on a quiet machine two seconds
        assert all(process.returncode for process in processes)
        assert not any(out for out, _ in said)
        errors = "".join(err for _, err in said)
        assert errors.count("limbeck: ") == 1, errors
        assert f"limbeck: rank {rank} of 2 stopped" in errors
        assert "Start the same command again with --resume." in errors
        assert not (out / "synthetic").exists()
        if rank == 1:
            assert (out / "checkpoint" / "state.safetensors").exists()
    again = limbeck.distill("avdd", out=out, resume=True)
    assert (out / "log").read_text().count("resumed after step") == 2
    for name, value in whole.values.items():
        torch.testing.assert_close(again.values[name], value, rtol=1e-6, atol=1e-6)
    assert steps_done(out) == STEPS
