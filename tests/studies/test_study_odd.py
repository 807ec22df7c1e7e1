"""What a study meets between its cells: processes that die idle, methods that come back as others, lost time."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

import limbeck
from limbeck.errors import ConfigError, ResumeError
from limbeck.studies.cells import Job, run_cell
from limbeck.studies.folder import begin
from limbeck.studies.local import Local
from limbeck.studies.spec import read_study


def test_a_process_that_dies_idle_is_started_anew(tiny, tmp_path):
    study = read_study(tiny)
    first, second = list(study.cells())[:2]
    for name in ("cells", "runs"):
        (tmp_path / name).mkdir()
    with Local(1, 1) as pool:
        pool.start(Job(tmp_path, study, first, 1))
        ((_, outcome),) = pool.wait()
        assert outcome["state"] == "done"
        (slot,) = pool.slots
        os.kill(slot.pid.result(), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not slot.pool._broken and time.monotonic() < deadline:
            time.sleep(0.01)
        pool.start(Job(tmp_path, study, second, 1))
        ((_, outcome),) = pool.wait()
    assert outcome["state"] == "done"


def test_a_method_that_comes_back_as_another_is_refused(tiny, tmp_path):
    """Its old set lies there still, and would be taken for the new one."""
    data = {"hash": "x"}
    begin(tmp_path, read_study(tiny), data, 1, resume=False)
    (tmp_path / "runs" / "dm-1-s0" / "synthetic").mkdir(parents=True)
    less = {**tiny, "methods": [tiny["methods"][0]]}
    for _ in range(2):
        begin(tmp_path, read_study(less), data, 1, resume=True)
    assert list(json.loads((tmp_path / "study.json").read_text())["dropped"]) == ["dm-1-s0"]
    other = {**tiny, "methods": ["random", {"name": "dm", "settings": {"lr": 0.7}}]}
    with pytest.raises(ResumeError, match=r"lr 0\.1 -> 0\.7"):
        begin(tmp_path, read_study(other), data, 1, resume=True)
    begin(tmp_path, read_study(tiny), data, 1, resume=True)
    assert json.loads((tmp_path / "study.json").read_text())["dropped"] == {}


def test_seconds_before_a_kill_are_counted(tiny, tmp_path, monkeypatch):
    study = read_study({**tiny, "methods": ["random"]})
    cell = next(study.cells())
    for name in ("cells", f"runs/{cell.name}"):
        (tmp_path / name).mkdir(parents=True)
    lines = ["2026-01-01T00:00:00Z begun", "2026-01-01T01:00:00Z step", "2026-01-02T00:00:00Z resumed"]
    job = Job(tmp_path, study, cell, 1)
    (job.run / "log").write_text("\n".join(lines))
    monkeypatch.setattr("limbeck.studies.cells._distil", lambda *_: None)
    monkeypatch.setattr("limbeck.studies.cells._score", lambda *_: None)
    assert run_cell(job)["seconds"]["distil"] == 3600


def test_scores_that_do_not_go_together_leave_cells_and_page(tiny, tmp_path, monkeypatch):
    def mixed(*_, **__):
        raise ConfigError("do not go into one table")

    monkeypatch.setattr("limbeck.evaluation.compare.compare", mixed)
    told = {**tiny, "methods": ["random"], "per_class": 1}
    with pytest.raises(ConfigError, match="one table"):
        limbeck.study(told, tmp_path / "out", workers=1)
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [cell["state"] for cell in found["cells"]] == ["done"]
    assert found["comparisons"] == []
    assert (tmp_path / "out" / "report.html").exists()
