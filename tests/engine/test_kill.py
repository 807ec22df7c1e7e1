"""A run killed with SIGKILL at any point, a save included, resumes to the bit-identical artifact."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

import limbeck
from limbeck.engine import checkpoint
from limbeck.rng import numpy_stream

SETTINGS = {
    "per_class": 2, "steps": 60, "init": "random", "group": 4, "real_group": 4, "kernels": "literal", "channels": 8,
    "threads": 1, "device": "cpu", "real_batch": 8, "checkpoint_every": 0.0, "cache": False,
}  # fmt: skip


class Mortal(type(Path())):
    """A path whose process dies just before a file takes its place."""

    saves = 0
    last: int

    def replace(self, target):
        Mortal.saves += 1
        if Mortal.saves == Mortal.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().replace(target)


def kill_at_save(number: int) -> None:
    write, Mortal.last = checkpoint.write_bytes, number
    checkpoint.write_bytes = lambda path, data: write(Mortal(path), data)


def work(store: Path, out: Path, cache: str, die_at_save: int | None = None) -> None:
    os.environ["LIMBECK_CACHE"] = cache
    if die_at_save is not None:
        kill_at_save(die_at_save)
    started = (out / "config.json").exists()
    if started:
        limbeck.distill("dm", out=out, resume=True)
    else:
        limbeck.distill("dm", store, out=out, **SETTINGS)


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["limbeck.engine.run", "limbeck.engine.loop", "limbeck.encoders"])
    return context


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    start = time.perf_counter()
    done = limbeck.distill("dm", toy, out=out, **SETTINGS)
    return done, time.perf_counter() - start


def finish(processes, arguments) -> None:
    process = processes.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def check(out: Path, whole) -> None:
    again, (done, _) = limbeck.load(out), whole
    assert all(torch.equal(again.values[k], v) for k, v in done.values.items())
    assert (out / "synthetic" / "synthetic.safetensors").read_bytes() == torch_bytes(done, out)
    assert not list(out.rglob("*.tmp"))
    assert len((out / "metrics.jsonl").read_text().splitlines()) == SETTINGS["steps"]


def torch_bytes(done, out: Path) -> bytes:
    done.save(out.parent / "again")
    return (out.parent / "again" / "synthetic.safetensors").read_bytes()


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else -1


@pytest.mark.parametrize("point", range(20))
def test_killed_at_a_random_point(toy, whole, tmp_path, processes, point, own_cache):
    draws = numpy_stream(0, "kill", point)
    step = int(draws.integers(-1, SETTINGS["steps"] - 10))  # -1: before the first
    arguments = (toy.path, tmp_path / "run", str(own_cache))
    process = processes.Process(target=work, args=arguments)
    process.start()
    while process.is_alive() and lines(tmp_path / "run" / "metrics.jsonl") < step:
        time.sleep(0.0005)
    time.sleep(draws.random() * 2 * whole[1] / SETTINGS["steps"])
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    finish(processes, arguments)
    check(tmp_path / "run", whole)


@pytest.mark.parametrize("save", [1, 2, 31])
def test_killed_during_a_save(toy, whole, tmp_path, processes, save, own_cache):
    arguments = (toy.path, tmp_path / "run", str(own_cache))
    process = processes.Process(target=work, args=(*arguments, save))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list((tmp_path / "run" / "checkpoint").glob(".*.tmp"))
    finish(processes, arguments)
    check(tmp_path / "run", whole)
