"""Whatever the target: all or nothing, nothing of the user's is lost, and the set itself travels along."""

from __future__ import annotations

import csv
import json

import pytest

import limbeck
from limbeck.errors import ConfigError, FormatError, NumericsError
from limbeck.export import MARK, TARGETS, export
from limbeck.files import read_json
from limbeck.modalities import Feature
from limbeck.synthetic import SyntheticSet
from tests.export.sets import heard, paired

every = pytest.mark.parametrize("to", list(TARGETS))


@every
def test_nothing_of_the_users_is_replaced(to, tmp_path):
    for name, text in (("letter.txt", "dear"), ("labels.csv", "mine"), (MARK, '{"format": "my own"}')):
        mine = tmp_path / name
        mine.mkdir()
        (mine / name).write_text(text)
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match="not empty"):
                export(heard(), mine, to, overwrite=overwrite)
        assert [(p.name, p.read_text()) for p in mine.iterdir()] == [(name, text)]
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        export(heard(), tmp_path / "file", to)


@every
def test_an_earlier_export_is_replaced_where_one_says_so(to, tmp_path):
    (tmp_path / "out").mkdir()
    export(heard(), tmp_path / "out", to)
    with pytest.raises(ConfigError, match="earlier export"):
        export(heard(), tmp_path / "out", to)
    export(heard(factor=1, captions=False), tmp_path / "out", "folder", overwrite=True)
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6
    # nothing of the first is left
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "README.md", "export.json", "synthetic", "image", "sound", "labels.csv",
    }  # fmt: skip


@every
def test_a_failed_export_leaves_nothing_and_keeps_the_old_one(to, tmp_path):
    export(heard(), tmp_path / "out", to)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for name, wrong in (("image", float("nan")), ("sound", float("inf"))):
        broken = heard()
        broken.values[name][3] = wrong
        with pytest.raises(NumericsError, match=name):
            export(broken, tmp_path / "out", to, overwrite=True)
        with pytest.raises(NumericsError):
            export(broken, tmp_path / "new", to)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@every
def test_a_failure_in_the_middle_leaves_nothing(to, tmp_path, monkeypatch):
    def fails(*_):
        raise NumericsError("in the middle")

    monkeypatch.setattr("limbeck.export.card._content", fails)
    with pytest.raises(NumericsError, match="middle"):
        export(heard(), tmp_path / "out", to)
    assert not list(tmp_path.iterdir())


@every
def test_the_artifact_and_what_it_is_travel_along(to, tmp_path):
    synthetic = heard()
    synthetic.save(tmp_path / "run" / "synthetic")
    out = export(tmp_path / "run", tmp_path / "out", to)
    for file in ("synthetic.json", "synthetic.safetensors"):
        assert (out / "synthetic" / file).read_bytes() == (tmp_path / "run" / "synthetic" / file).read_bytes()
    assert limbeck.load(out).decoded_captions == synthetic.decoded_captions
    assert json.loads((out / MARK).read_text()) == {"format": "limbeck-export", "version": 1, "to": to}
    assert read_json(out / "synthetic" / "synthetic.json")["sha256"] in (out / "README.md").read_text()


def test_an_unknown_target_names_the_known(tmp_path):
    with pytest.raises(ConfigError, match="'folder'"):
        export(heard(), tmp_path / "out", to="foldr")


def test_names_that_exports_need_are_refused(tmp_path):
    modality = Feature(name="similarity", shape=(2,))
    import torch

    with pytest.raises(ConfigError, match="'similarity'"):
        export(SyntheticSet({"similarity": modality}, {"similarity": torch.ones(1, 2)}), tmp_path / "out")


def test_sources_that_are_none(tmp_path):
    with pytest.raises(FormatError):
        export(tmp_path / "nothing", tmp_path / "out")
    paired().save(tmp_path / "run" / "synthetic")
    (tmp_path / "run" / "results").mkdir()
    (tmp_path / "run" / "results" / "x.json").write_text("{}")
    with pytest.raises(FormatError, match="no result"):
        export(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()
