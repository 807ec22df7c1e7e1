"""`limbeck bank`: killed at any point it goes on, and what was finished is never touched again."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import limbeck
from limbeck.banks import pairs
from limbeck.cli import main
from limbeck.engine.banks import build_banks
from limbeck.errors import ConfigError

SMALL = {"channels": 4, "hidden": 8, "kernels": "literal", "device": "cpu", "threads": 1}
MEMBERS, DECOUPLERS = 3, 2


def work(store: Path, cache: Path) -> None:
    os.environ["LIMBECK_CACHE"] = str(cache)
    pairs.BANK_RECIPE = dataclasses.replace(pairs.BANK_RECIPE, epochs=10)
    build_banks(store, members=MEMBERS, decouplers=DECOUPLERS, **SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["limbeck.engine.banks", "limbeck.banks.decoupler", "limbeck.encoders.fused"])
    return context


@pytest.fixture(scope="module")
def whole(toy: Any, tmp_path_factory: pytest.TempPathFactory, processes: Any) -> dict[str, bytes]:
    """The files of a bank that nothing interrupted."""
    cache = tmp_path_factory.mktemp("whole")
    process = processes.Process(target=work, args=(toy.path, cache))
    process.start()
    process.join()
    assert process.exitcode == 0
    return {name: data for name, (_, _, data) in contents(cache).items()}


def contents(cache: Path) -> dict[str, tuple[int, int, bytes]]:
    """Finished files: inode, time and bytes."""
    found = {}
    for path in sorted(cache.glob("banks/**/*.safetensors")):
        if "training" not in path.parts:
            found[str(path.relative_to(cache))] = (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
    return found


def killed(processes: Any, arguments: tuple[Path, Path], reached: Callable[[], bool]) -> None:
    process = processes.Process(target=work, args=arguments)
    process.start()
    while process.is_alive() and not reached():
        time.sleep(0.0005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_killed_twice_it_goes_on_without_redoing_anything(
    toy: Any, tmp_path: Path, processes: Any, whole: dict[str, bytes]
) -> None:
    arguments = (toy.path, tmp_path)

    def first() -> bool:  # while the second pair is trained
        return any(tmp_path.glob("banks/*/000.safetensors")) and any(tmp_path.glob("banks/*/training/001/*"))

    def second() -> bool:  # while decouplers are trained
        return any(tmp_path.glob("banks/*/decouplers/*/000-1.safetensors"))

    seen: dict[str, tuple[int, int, bytes]] = {}
    for reached in (first, second):
        killed(processes, arguments, reached)
        now = contents(tmp_path)
        assert len(seen) < len(now) < len(whole)
        assert {name: now[name] for name in seen} == seen
        seen = now
    process = processes.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0
    done = contents(tmp_path)
    assert {name: done[name] for name in seen} == seen
    assert {name: data for name, (_, _, data) in done.items()} == whole
    assert len(done) == MEMBERS * (1 + DECOUPLERS)
    assert not list(tmp_path.rglob("*.tmp"))
    assert not any(tmp_path.glob("banks/*/training/*"))


def test_two_processes_share_the_work(toy: Any, tmp_path: Path, processes: Any, whole: dict[str, bytes]) -> None:
    pair = [processes.Process(target=work, args=(toy.path, tmp_path)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
        assert process.exitcode == 0
    assert {name: data for name, (_, _, data) in contents(tmp_path).items()} == whole


def test_the_command_says_what_is_there(toy: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    told = ["bank", "--data", str(toy.path), "--members", "2", "--decouplers", "1", "--channels", "4", "--hidden", "8"]
    told += ["--device", "cpu", "--kernels", "literal"]
    assert main(told) == 0
    first = capsys.readouterr().out
    assert "2 encoder pairs, 2 trained now" in first
    assert "validation  " in first
    assert "2 decouplers, 2 trained now" in first
    assert main([*told, "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["pretrained"]["members"] == 2
    assert about["pretrained"]["were_missing"] == about["decouplers"]["were_missing"] == 0
    assert len(about["pretrained"]["scores"]) == 2
    assert about["pretrained"]["bytes"] == sum(
        p.stat().st_size for p in Path(about["pretrained"]["path"]).glob("*.safetensors")
    )
    assert main(told) == 0
    said = capsys.readouterr()
    assert said.out.count("all were there") == 2
    assert not said.err


def test_ctrl_c_is_told_and_the_same_command_goes_on(toy: Any, tmp_path: Path) -> None:
    # so many that it cannot be done before the signal comes, however busy the machine is
    told = ["bank", "--data", str(toy.path), "--members", "500", "--decouplers", "0", "--channels", "4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "limbeck", *told, "--device", "cpu", "--kernels", "literal"],
        env={**os.environ, "LIMBECK_CACHE": str(tmp_path), "PYTHONPATH": str(Path(limbeck.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob("banks/*/000.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted. The bank goes on with the same command." in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mapping": "liner"}, "Did you mean 'linear'"),
        ({"hidden": 0}, "1 or more"),
        ({"modalities": ["image"]}, "two modalities"),
        ({"modalities": ["image", "adio"]}, "'audio'"),
        ({"members": 0}, "1 or more"),
        ({"decouplers": -1}, "0 or more"),
        ({"threads": 0}, "1 or more"),
        ({"device": "gpu"}, "cuda"),
        ({"kernels": "fast"}, "literal"),
        ({"precision": "fp23"}, "Did you mean 'fp32'"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=words):
        build_banks(toy, **{**SMALL, **settings})
    assert not any(tmp_path.glob("banks/*"))
