"""Two processes that share a run give what one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import limbeck
from limbeck.files import read_json

SMALL = {"steps": 4, "kernels": "literal", "channels": 8, "threads": 1, "device": "cpu", "real_batch": 8}
CLASS = SMALL | {"per_class": 2, "init": "random"}
PAIRS = SMALL | {
    "pairs": 7, "tower": "convnet", "pretrained": "none", "validate": "none", "captions": "hashing", "init": "random",
}  # fmt: skip
NETWORK = {"frequencies": 16, "sampling": "network"}
EXPERTS = {"experts": 2, "expert_epochs": 1, "expert_batch": 16, "synthetic_batch": 6}
RUNS = {
    "avdd": ("avdd", CLASS, {}),
    "avdd in given groups": ("avdd", CLASS | {"group": 2, "real_group": 1, "cache": False, "clip": 0.5}, {}),
    "avdd, one group for both": ("avdd", CLASS | {"group": 4, "cache_dtype": "fp16"}, {}),
    "davdd": ("davdd", CLASS, {"members": 2, "decouplers": 1, "hidden": 16}),
    "dsa": ("dsa", CLASS, {"outer": 2, "inner": 1}),
    "mtt": ("mtt", CLASS | {"steps": 2}, {"experts": 1}),
    "imagebinddc": ("imagebinddc", CLASS, {"frequencies": 16}),
    "imagebinddc with a network": ("imagebinddc", CLASS | {"group": 3}, NETWORK),
    "imagebinddc, frozen": ("imagebinddc", CLASS | {"encoder": "patches"}, {"frequencies": 16}),
    "imagebinddc by pairs": ("imagebinddc", PAIRS | {"cache": False}, NETWORK),
    "dm by pairs": ("dm", PAIRS, {}),
    "mdm": ("mdm", PAIRS | {"lr": 10.0, "validate_every": 2, "validate": "auto", "snapshots": 2}, EXPERTS),
    "mdm, a pool": ("mdm", PAIRS | {"lr": 10.0}, EXPERTS | {"pool": 2}),
    "mdm, dropout": ("mdm", PAIRS | {"lr": 10.0, "group": 2}, EXPERTS | {"dropout": True}),
}
REFUSED = {
    "lors": ("lors", PAIRS | {"init": "random"}, {"experts": 1}),
    "per class": ("avdd", CLASS | {"stepping": "per_class"}, {}),
    "random": ("random", {"per_class": 2}, {}),
    "one pair": ("mdm", PAIRS | {"pairs": 1}, {}),
    "one GPU": ("dm", CLASS | {"device": "cuda:1"}, {}),
}


def call(name: str, store: Path, out: Path) -> dict[str, object]:
    method, settings, own = (RUNS | REFUSED)[name]
    return {"method": method, "data": str(store), "out": str(out), "method_settings": own, **settings}


def torchrun(*words: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen([*command, *map(str, words)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def terms(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line)["terms"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def shared(toy, tmp_path_factory, own_cache):
    """The folder of all runs by two ranks; banks and experts are made by them."""
    folder = tmp_path_factory.mktemp("ranks")
    told = folder / "told.json"
    told.write_text(json.dumps([call(name, toy.path, folder / name) for name in (RUNS | REFUSED)]))
    process = torchrun(Path(__file__).with_name("ranks_script.py"), told)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_give_what_one_process_gives(toy, shared, tmp_path, name):
    alone = limbeck.distill(**call(name, toy.path, tmp_path / "alone"))
    both, first = limbeck.load(shared / name), limbeck.load(shared / name / "initial")
    for modality, value in alone.values.items():
        assert (value - first.values[modality]).abs().max() > 1e-4
        torch.testing.assert_close(both.values[modality], value, rtol=1e-6, atol=1e-6)
    one, two = (terms(folder) for folder in (tmp_path / "alone", shared / name))
    assert [list(found) for found in one] == [list(found) for found in two]
    for ours, theirs in zip(one, two, strict=True):
        assert list(theirs.values()) == pytest.approx(list(ours.values()), rel=1e-5)


def test_only_rank_0_writes(shared):
    mine, other = ((shared / f"told.{rank}").read_text().splitlines() for rank in (0, 1))
    assert any(line.startswith(str(shared / "avdd" / "metrics")) for line in mine)
    assert any("statistics" in line for line in mine)
    assert {line for line in other if "Error: " not in line} <= {os.devnull}


def test_what_cannot_be_shared_is_refused_by_all(shared):
    for rank in (0, 1):
        said = [line for line in (shared / f"told.{rank}").read_text().splitlines() if line.startswith("ConfigError")]
        assert [line.removeprefix("ConfigError: ") for line in said] == [
            "lors takes one inner step after another and runs in one process, torchrun started 2",
            "per class each step waits for the one before, and there is nothing to share over ranks",
            "random takes no steps and runs in one process, torchrun started 2",
            "2 ranks for 1 pairs a step",
            "2 ranks cannot all compute on cuda:1",
        ]
    assert not [name for name in REFUSED if list((shared / name).glob("*"))]


def test_a_run_says_how_many_shared_it(shared):
    assert read_json(shared / "avdd" / "run.json")["numerics"]["ranks"] == 2
    assert read_json(shared / "avdd" / "run.json")["numerics"]["group"] <= 2
    assert (shared / "mdm" / "snapshots" / "2").exists()
    assert read_json(shared / "mdm" / "validation.json")["looks"]
