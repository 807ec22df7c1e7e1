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
    "lors": (
        ("lors", PAIRS, {"experts": 1}),
        "lors takes one inner step after another and runs in one process, torchrun started 2",
    ),
    "per class": (("avdd", CLASS | {"stepping": "per_class"}, {}), "there is nothing to share over ranks"),
    "random": (("random", {"per_class": 2}, {}), "random takes no steps and runs in one process, torchrun started 2"),
    "one pair": (("mdm", PAIRS | {"pairs": 1}, {}), "2 ranks for 1 pairs a step"),
    "one GPU": (("dm", CLASS | {"device": "cuda:1"}, {}), "2 ranks cannot all compute on cuda:1"),
}
FATES = ("terminated", "failing")


def call(name: str, store: Path, out: Path) -> dict[str, object]:
    method, settings, own = RUNS[name] if name in RUNS else REFUSED[name][0]
    return {"method": method, "data": str(store), "out": str(out), "method_settings": own, **settings}


def terms(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line)["terms"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def shared(toy, tmp_path_factory):
    """The folder of all runs by two ranks; banks and experts are made by them."""
    folder = tmp_path_factory.mktemp("ranks")
    told = folder / "told.json"
    runs = [call(name, toy.path, folder / name) for name in (*RUNS, *REFUSED)]
    for fate in FATES:
        runs.append(call("avdd", toy.path, folder / fate) | {"fate": fate})
        runs.append({"method": "avdd", "out": str(folder / fate), "resume": True})
    told.write_text(json.dumps(runs))
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = Path(__file__).with_name("ranks_script.py")
    process = subprocess.run([*launcher, script, told], text=True, capture_output=True, timeout=240)
    assert process.returncode == 0, process.stderr
    return folder


def told(folder: Path, what: str) -> list[list[str]]:
    """What each rank said: what it had "written", or the "ends" of its runs."""
    return [read_json(folder / f"told.{rank}")[what] for rank in (0, 1)]


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
    mine, other = told(shared, "written")
    assert str(shared / "avdd" / "metrics.jsonl") in mine
    assert any("/statistics/" in line for line in mine)
    places = (str(shared), os.environ["LIMBECK_CACHE"])
    assert not [line for line in other if line.startswith(places) and not line.endswith(".lock")]
    assert os.devnull in other


def test_what_cannot_be_shared_is_refused_by_all(shared):
    for ends in told(shared, "ends"):
        for end, (_, wanted) in zip(ends, REFUSED.values(), strict=False):
            assert end.startswith("ConfigError: ")
            assert wanted in end
    assert not [name for name in REFUSED if list((shared / name).glob("*"))]


def test_what_ends_one_rank_ends_both_and_one_says_it(shared):
    ends = [ends[len(REFUSED) :] for ends in told(shared, "ends")]
    assert len(ends[0]) == len(ends[1]) == len(FATES)
    assert [end.partition(":")[0] for end in ends[0]] == ["Interrupted", "NumericsError"]
    assert ends[1][1] == "NumericsError: step 2: too large\n  Mend it. (said: False)"
    assert ends[0][1] == "NumericsError: rank 1 of 2, step 2: too large\n  Mend it. (said: True)"
    assert sorted(end[0].partition("said: ")[2] for end in ends) == ["False)", "True)"]


@pytest.mark.parametrize("fate", FATES)
def test_and_the_run_goes_on(shared, fate):
    lines = (shared / fate / "log").read_text()
    assert "resumed after step 2 by 2 ranks" in lines
    whole, cut = limbeck.load(shared / "avdd"), limbeck.load(shared / fate)
    assert all(torch.equal(cut.values[name], value) for name, value in whole.values.items())


def test_a_run_says_how_many_shared_it(shared):
    assert read_json(shared / "avdd" / "run.json")["numerics"]["ranks"] == 2
    assert read_json(shared / "avdd" / "run.json")["numerics"]["group"] <= 2
    assert (shared / "mdm" / "snapshots" / "2").exists()
    assert read_json(shared / "mdm" / "validation.json")["looks"]
