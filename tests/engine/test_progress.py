from __future__ import annotations

import re

import pytest

from limbeck.engine.metrics import Metrics
from limbeck.progress import Progress


def test_a_line_has_terms_speed_memory_and_time_left(capsys):
    with Progress("avdd", 4) as bar:
        bar.update(4, {"base": 1.25, "icm": 30.0}, 812.0)
    assert re.fullmatch(r"avdd: 4/4  base 1\.25  icm 30  812 items/s  \d+\.\d GB  0 s left\n", capsys.readouterr().err)


def test_between_the_ends_it_is_quiet(capsys):
    with Progress("avdd", 4) as bar:
        bar.update(1, {}, 1.0)
        bar.update(2, {}, 1.0)
    assert not capsys.readouterr().err


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with Progress("avdd", 4) as bar:
        bar.update(3, {"base": 1.25}, 812.0)
    said = capsys.readouterr().err
    assert "avdd" in said
    assert "base 1.25" in said
    assert "812 items/s" in said


@pytest.mark.parametrize("total", [0, 4])
def test_it_can_be_silent(capsys, total):
    with Progress("avdd", total, shown=total == 0) as bar:
        bar.update(total, {}, 1.0)
    assert not capsys.readouterr().err


def test_metrics_lines_add_up():
    import json

    line = json.loads(Metrics(3, {"a": 1.0, "b": 2.5}).line(1.23456, 99.99))
    assert line == {"step": 3, "loss": 3.5, "terms": {"a": 1.0, "b": 2.5}, "seconds": 1.2346, "items_per_second": 100.0}
