"""A run's set kept in fewer bytes: the very set that the run would have kept so itself, and a run of its own."""

from __future__ import annotations

import pytest
import torch

import limbeck
from limbeck.errors import ConfigError, FormatError, NumericsError
from limbeck.files import read_json
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.artifact import MANIFEST, TENSORS
from limbeck.synthetic.pack import pack

RUN = {"per_class": 1, "steps": 4, "group": 4, "real_group": 4}


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    small = {"kernels": "literal", "channels": 8, "threads": 1, "device": "cpu", "real_batch": 8}
    folder = tmp_path_factory.mktemp("packed") / "whole"
    limbeck.distill("avdd", toy, out=folder, **small, **RUN)
    return folder


@pytest.mark.parametrize("kind", ["fp16", "uint8"])
def test_it_is_the_set_that_the_run_would_have_kept(toy, whole, small, tmp_path, kind):
    packed = pack(whole, tmp_path / "packed", storage=kind)
    direct = limbeck.distill("avdd", toy, out=tmp_path / "direct", storage=kind, **small, **RUN)
    for name, value in direct.values.items():
        assert torch.equal(packed.values[name], value)
    one, two = (tmp_path / name / "synthetic" for name in ("packed", "direct"))
    assert (one / TENSORS).read_bytes() == (two / TENSORS).read_bytes()
    assert direct.provenance["settings"] == packed.provenance["settings"]
    assert direct.provenance["settings"]["storage"] == kind
    first = limbeck.load(tmp_path / "direct" / "initial")
    assert set(first.storage.values()) == {"fp32"}


def test_a_run_that_is_killed_before_it_is_kept_goes_on_to_the_same(toy, whole, small, tmp_path, monkeypatch):
    settings = {**small, **RUN, "storage": "uint8"}
    with monkeypatch.context() as patch:
        patch.setattr(SyntheticSet, "stored_as", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill("avdd", toy, out=tmp_path / "run", **settings, checkpoint_every=0)
    assert not (tmp_path / "run" / "synthetic").exists()
    resumed = limbeck.distill("avdd", toy, out=tmp_path / "run", resume=True)
    assert torch.equal(resumed.values["audio"], limbeck.load(whole).stored_as("uint8").values["audio"])
    assert set(limbeck.load(tmp_path / "run").storage.values()) == {"uint8"}
    assert " resuming\n" in (tmp_path / "run" / "log").read_text()  # without a checkpoint, too


def test_it_is_a_run_with_a_hash_of_its_own(whole, tmp_path):
    (whole / "results").mkdir(exist_ok=True)
    pack(whole, tmp_path / "8", storage="uint8")
    pack(whole, tmp_path / "16", storage="fp16")
    about = [read_json(folder / "run.json") for folder in (whole, tmp_path / "8", tmp_path / "16")]
    assert len({run["hash"] for run in about}) == 3
    assert about[1]["packed"] == {"from": about[0]["hash"], "storage": "uint8"}
    again = limbeck.load(tmp_path / "8")
    assert again.provenance["run_hash"] == about[1]["hash"]
    assert read_json(tmp_path / "8" / "config.json")["storage"] == "uint8"
    assert (tmp_path / "8" / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert (tmp_path / "8" / "initial" / MANIFEST).exists()
    assert not (tmp_path / "8" / "results").exists()
    again = limbeck.distill("avdd", out=tmp_path / "8", resume=True)
    assert set(again.storage.values()) == {"uint8"}


def test_packing_what_is_packed_changes_nothing(whole, tmp_path):
    pack(whole, tmp_path / "one", storage="uint8")
    pack(tmp_path / "one", tmp_path / "two", storage="uint8")
    for file in (TENSORS, MANIFEST):
        assert (tmp_path / "one" / "synthetic" / file).read_bytes() == (
            tmp_path / "two" / "synthetic" / file
        ).read_bytes()
    assert read_json(tmp_path / "two" / "run.json") == read_json(tmp_path / "one" / "run.json")


def test_an_artifact_becomes_an_artifact(whole, tmp_path):
    packed = pack(whole / "synthetic", tmp_path / "set", storage="fp16")
    assert sorted(file.name for file in (tmp_path / "set").iterdir()) == [MANIFEST, TENSORS]
    assert torch.equal(limbeck.load(tmp_path / "set").values["audio"], packed.values["audio"])


def test_rounding_twice_is_refused(whole, tmp_path):
    pack(whole, tmp_path / "8", storage="uint8")
    for kind in ("fp16", "fp32"):
        with pytest.raises(ConfigError, match="rounded already, to uint8"):
            pack(tmp_path / "8", tmp_path / "other", storage=kind)
    assert not (tmp_path / "other").exists()


def test_nothing_is_written_over(whole, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    with pytest.raises(ConfigError, match="something here already"):
        pack(whole, tmp_path / "there", storage="uint8")
    assert [file.name for file in (tmp_path / "there").iterdir()] == ["mine"]


def test_other_mistakes(whole, tmp_path):
    with pytest.raises(ConfigError, match="stored as 'int8'"):
        pack(whole, tmp_path / "out", storage="int8")
    with pytest.raises(FormatError, match="not a synthetic set"):
        pack(tmp_path, tmp_path / "out", storage="fp16")
    large = limbeck.load(whole)
    large.values["image"] = large.values["image"] + 1e6
    large.save(tmp_path / "large")
    with pytest.raises(NumericsError, match="image reaches"):
        pack(tmp_path / "large", tmp_path / "out", storage="fp16")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["large"]


def test_students_of_it_see_the_rounded_values(whole, toy, tmp_path):
    packed = pack(whole, tmp_path / "8", storage="uint8")
    results = [
        limbeck.evaluate(folder, data=toy, seeds=[0], protocol="recognition-avdd", threads=1, kernels="literal")
        for folder in (whole, tmp_path / "8")
    ]
    assert [r["trained_on"]["bytes"] for r in results] == [limbeck.load(whole).bytes, packed.bytes]
    found = limbeck.compare([whole, tmp_path / "8"])
    assert [row["label"] for row in found["rows"]] == ["avdd · storage fp32", "avdd · storage uint8"]
    assert [row["bytes"] for row in found["rows"]] == [4 * 4 * 1024, 4 * (1024 + 8 * 4)]
    assert [row["steps"] for row in found["rows"]] == [4, 4]


def test_what_was_imported_packs_to_different_runs(whole, tmp_path):
    hashes = set()
    for name in ("one", "two"):
        imported = limbeck.load(whole)
        imported.provenance = {"imported": name}
        imported.save(tmp_path / name)
        hashes.add(pack(tmp_path / name, tmp_path / f"{name}-8", storage="uint8").provenance["run_hash"])
    assert len(hashes) == 2


def test_bytes_below_nothing_are_not_counted(whole):
    synthetic = limbeck.load(whole)
    synthetic.provenance["bytes"] = {"total": -5}
    assert synthetic.counted_bytes == synthetic.bytes
