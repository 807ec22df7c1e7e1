"""`limbeck pack` and `distill random --bytes` as they are typed."""

from __future__ import annotations

import json

import pytest

import limbeck
from limbeck.cli import main


@pytest.fixture
def whole(toy, small, tmp_path):
    limbeck.distill("random", toy, out=tmp_path / "whole", per_class=2, **small)
    return tmp_path / "whole"


def test_pack_inspect_and_real_items_of_its_bytes(toy, whole, tmp_path, capsys):
    assert main(["pack", str(whole), "--storage", "uint8", "--out", str(tmp_path / "8")]) == 0
    assert "8 items (8.4 kB)" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "8"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["synthetic"]["storage"] == {"image": "uint8", "audio": "uint8"}
    assert about["synthetic"]["bytes"] == 8 * (1024 + 8 * 4)
    words = ["--data", str(toy.path), "--bytes", str(tmp_path / "8"), "--out", str(tmp_path / "r"), "--threads", "1"]
    assert main(["distill", "random", *words]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "r"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    told = about["synthetic"]["provenance"]["bytes"]
    assert told["budget"] == 8448
    assert about["synthetic"]["bytes"] == told["total"] <= 8448
    assert main(["distill", "random", "--data", str(toy.path), "--bytes", "9000", "--out", str(tmp_path / "n")]) == 0


def test_numbers_are_numbers_in_a_config_file(toy, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"bytes": 9000, "data": str(toy.path), "threads": 1}))
    words = ["--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "r")]
    assert main(["distill", "random", *words]) == 0
    assert limbeck.load(tmp_path / "r").provenance["bytes"]["budget"] == 9000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--storage", "int8"], "Did you mean 'uint8'?"),
        (["--storage", "uint8", "--out", "{whole}"], "something here already"),
    ],
)
def test_mistakes_of_pack(whole, tmp_path, capsys, words, said):
    given = [word.format(whole=whole) for word in words]
    given += [] if "--out" in given else ["--out", str(tmp_path / "new")]
    assert main(["pack", str(whole), *given]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
