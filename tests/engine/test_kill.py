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

STEPS = 60
SETTINGS = {
    "per_class": 2, "steps": STEPS, "group": 4, "real_group": 4, "kernels": "literal", "channels": 8,
    "device": "cpu", "real_batch": 8, "checkpoint_every": 0.0,
}  # fmt: skip
PATHS = {
    "dm": {"init": "random", "threads": 1, "cache": False},
    "avdd": {"threads": 1, "lr": 0.001},  # herding, factor 2, and the cache of real means
}

EVOLVING = {"threads": 1, "modalities": ("image",), "method_settings": {"outer": 20, "inner": 2}}
"""DC trains its network on the set between steps, 20 steps a network."""


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


def work(method: str, store: Path, out: Path, cache: str, die_at_save: int | None = None) -> None:
    os.environ["LIMBECK_CACHE"] = cache
    if die_at_save is not None:
        kill_at_save(die_at_save)
    started = (out / "config.json").exists()
    if started:
        limbeck.distill(method, out=out, resume=True)
    else:
        limbeck.distill(method, store, out=out, **SETTINGS, **(PATHS | {"dc": EVOLVING})[method])


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["limbeck.engine.run", "limbeck.engine.loop", "limbeck.encoders"])
    return context


@pytest.fixture(scope="module", params=PATHS)
def whole(request, toy, tmp_path_factory):
    """(method, the uninterrupted result, its seconds)."""
    out = tmp_path_factory.mktemp("whole") / "run"
    settings = SETTINGS | PATHS[request.param]
    limbeck.distill(
        request.param, toy, out=out, **settings | {"steps": 1}
    )  # fills the caches, so that the clock is fair
    start = time.perf_counter()
    done = limbeck.distill(request.param, toy, out=out.with_name("again"), **settings)
    took = time.perf_counter() - start
    torch.set_num_threads(1)
    return request.param, done, took


def finish(processes, arguments) -> None:
    process = processes.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def check(out: Path, whole) -> None:
    again, done = limbeck.load(out), whole[1]
    assert all(torch.equal(again.values[k], v) for k, v in done.values.items())
    assert (out / "synthetic" / "synthetic.safetensors").read_bytes() == torch_bytes(done, out)
    assert not list(out.rglob("*.tmp"))
    assert len((out / "metrics.jsonl").read_text().splitlines()) == STEPS


def torch_bytes(done, out: Path) -> bytes:
    done.save(out.parent / "again")
    return (out.parent / "again" / "synthetic.safetensors").read_bytes()


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else -1


@pytest.mark.parametrize("point", range(10))
def test_killed_at_a_random_point(toy, whole, tmp_path, processes, point, own_cache):
    draws = numpy_stream(0, "kill", point)
    step = int(draws.integers(-1, STEPS - 10))  # -1: before the first
    arguments = (whole[0], toy.path, tmp_path / "run", str(own_cache))
    process = processes.Process(target=work, args=arguments)
    process.start()
    while process.is_alive() and lines(tmp_path / "run" / "metrics.jsonl") < step:
        time.sleep(0.0005)
    time.sleep(draws.random() * 2 * whole[2] / STEPS)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    finish(processes, arguments)
    check(tmp_path / "run", whole)


@pytest.mark.parametrize("save", [1, 31])
def test_killed_during_a_save(toy, whole, tmp_path, processes, save, own_cache):
    arguments = (whole[0], toy.path, tmp_path / "run", str(own_cache))
    process = processes.Process(target=work, args=(*arguments, save))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list((tmp_path / "run" / "checkpoint").glob(".*.tmp"))
    finish(processes, arguments)
    check(tmp_path / "run", whole)


def test_killed_inside_a_round(toy, tmp_path, processes, own_cache):
    done = limbeck.distill("dc", toy, out=tmp_path / "whole", **SETTINGS, **EVOLVING)
    arguments = ("dc", toy.path, tmp_path / "run", str(own_cache))
    process = processes.Process(target=work, args=arguments)
    process.start()
    while process.is_alive() and lines(tmp_path / "run" / "metrics.jsonl") < 30:
        time.sleep(0.0005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    finish(processes, arguments)
    check(tmp_path / "run", ("dc", done))
