"""``limbeck export`` on the command line."""

from __future__ import annotations

import pytest

from limbeck.cli import main
from tests.export.sets import heard


@pytest.fixture
def run(tmp_path):
    heard().save(tmp_path / "my run" / "synthetic")
    return tmp_path / "my run"


def test_publishing_is_left_to_the_user(run, capsys):
    assert main(["export", str(run), "--to", "huggingface"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == str(run / "export-huggingface")
    assert f"hf upload USER/NAME '{run / 'export-huggingface'}' . --repo-type dataset" in said
    assert "nothing was uploaded" in said


def test_each_target_has_a_place_of_its_own(run, capsys):
    for to, place in (("folder", "export"), ("webdataset", "export-webdataset"), ("ddranking", "export-ddranking")):
        assert main(["export", str(run), "--to", to]) == 0
        assert capsys.readouterr().out == f"{run / place}\n"
    assert main(["export", str(run)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["export", str(run), "--to", "webdatasets"]) == 2
    assert "'webdataset'" in capsys.readouterr().err
