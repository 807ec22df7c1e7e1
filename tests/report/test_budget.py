"""Score against budget: where points lie, which runs are taken, and what is left out."""

from __future__ import annotations

import json
import math

import pytest

from limbeck.report.budget import Point, budget_chart, budgets_of, series_of
from limbeck.report.plot import Axis
from tests.evaluation.made_results import run as made_run


def made(folder, scores, *, seed=0, pairs=20, method="dm", data="ab", **other):
    """A run that was scored and has its ``result.json``."""
    made_run(
        folder,
        dict(enumerate(scores)),
        method,
        seed,
        config={"pairs": pairs, "lr": 1.0, **other.pop("config", {})},
        **other,
    )
    (folder / "result.json").write_text((folder / "results/a.json").read_text())
    (folder / "run.json").write_text(json.dumps({"method": method, "data": {"hash": data}}))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Alone in a folder of their own: what lies beside it is looked at, too."""
    return tmp_path / "runs"


WHOLE = {"runs": [{"student": "nfnet", "seed": k, "scores": {"IR@1": 30, "Mean": 60 + k}} for k in range(3)]}


def test_runs_that_differ_in_budget_and_seed_alone_are_taken(runs):
    own = made(runs / "a", [10, 12], whole=WHOLE)
    made(runs / "b", [14, 16], seed=1)
    made(runs / "c", [30, 34], pairs=50)
    found = budgets_of(own)
    assert (found.runs, found.others) == (["a", "b", "c"], True)
    items, size = found.charts
    (curve,) = items.curves
    assert [m.says for m in curve.marks] == [
        "dm, 20 pairs: 13.0 (-12.4 to 38.4), 2 sets, 4 students in all",
        "dm, 50 pairs: 32.0 (6.6 to 57.4), 1 set, 2 students in all",
    ]
    assert [word for _, word in items.x_ticks] == ["20", "50"]
    assert [(level.name, level.told) for level in items.levels] == [("whole data", "61"), ("chance", "4")]
    assert size.x_name == "bytes of the set as stored"
    assert "whole data: 61." in items.description


@pytest.mark.parametrize(
    "other",
    [
        {"method": "mdm"},
        {"config": {"lr": 2.0}},
        {"settings": {"channels": 32}},
        {"protocol": "retrieval-lors"},
        {"data": "cd"},
        {"data_hash": "cd" * 32},
        {"as_published": True},
        {"seed": 0, "pairs": 20},
    ],
)
def test_others_are_not(runs, other):
    own = made(runs / "a", [10, 12], whole=WHOLE)
    made(runs / "b", [30, 34], **{"pairs": 50, **other})
    found = budgets_of(own)
    assert (found.runs, found.others) == (["a"], False)
    assert len(found.charts) == 1


def test_runs_one_folder_up_are_found_and_damaged_ones_passed_over(runs):
    own = made(runs / "20" / "0", [10, 12])
    made(runs / "50" / "0", [30, 34], pairs=50)
    (made(runs / "100" / "0", [30, 34], pairs=100) / "results/a.json").write_text("{")
    (runs / "20" / "x").mkdir()
    (runs / "20" / "x" / "run.json").write_text("no")
    assert budgets_of(own).runs == ["0", "50/0"]


def test_alone_without_whole_data_there_is_nothing_to_show(runs):
    own = made(runs / "a", [10, 12])
    assert budgets_of(own) is None
    (own / "result.json").unlink()
    assert budgets_of(own) is None


def series(*scores):
    return [Point(items=10**k, bytes=1000 * 100**k, score=s, low=s - 2, high=s + 2) for k, s in enumerate(scores)]


def test_points_lie_where_their_numbers_are():
    chart = budget_chart({"a": series(10, 20, 40)}, None, None, "items", "items per class")
    xs, ys = zip(*[(m.x, m.y) for m in chart.curves[0].marks], strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)  # powers of ten
    assert (ys[1] - ys[2]) == pytest.approx(2 * (ys[0] - ys[1]), abs=0.3)
    for mark in chart.curves[0].marks:
        assert mark.y - mark.high == pytest.approx(mark.low - mark.y, abs=0.2)
        assert chart.left < mark.x < chart.right
        assert chart.top <= mark.high < mark.low <= chart.base


def test_bytes_have_an_axis_of_their_own():
    chart = budget_chart({"a": series(10, 20, 40)}, 90.0, 10.0, "bytes", "")
    assert [word for _, word in chart.x_ticks] == ["1 kB", "10 kB", "100 kB", "1 MB", "10 MB"]
    assert chart.description.startswith("a: 10.0 at 1.0 kB, 20.0 at 100.0 kB")


def test_a_budget_of_bytes_has_no_place_among_items():
    points = {"a": series(10, 20), "random": [Point(None, 5000, 15.0)], "b": [Point(1, None, 3.0)]}
    assert [c.name for c in budget_chart(points, None, None, "items", "pairs").curves] == ["a", "b"]
    assert [c.name for c in budget_chart(points, None, None, "bytes", "").curves] == ["a", "random"]
    assert budget_chart({"random": [Point(None, 5000, 15.0)]}, None, None, "items", "pairs") is None
    assert budget_chart({}, 90.0, None, "items", "pairs") is None


def test_methods_of_one_budget_stand_apart():
    chart = budget_chart({name: series(10, 20) for name in "abcdefg"}, None, None, "items", "pairs")
    assert len({curve.marks[0].x for curve in chart.curves}) == 7
    assert len({(curve.colour, curve.dash) for curve in chart.curves}) == 7
    assert {curve.marks[0].x for curve in chart.curves} & {chart.x_ticks[0][0]}


@pytest.mark.parametrize("high", [99.0, 300.0])
def test_an_interval_ends_at_the_charts_edge(high):
    chart = budget_chart({"a": [Point(1, 1, 95.0, -200.0, high)]}, None, None, "items", "pairs")
    mark = chart.curves[0].marks[0]
    assert chart.top <= mark.high < mark.y < mark.low <= chart.base


def test_rows_of_a_comparison_are_series():
    score = {"m": {"mean": 5.0, "interval": None}}
    row = {
        "label": "dm",
        "student": "s",
        "budget": {"kind": "pairs", "size": 20},
        "bytes": 7,
        "scores": score,
        "n": {"sets": 1, "students": 1},
    }
    rows = [row, {**row, "student": "t"}, {**row, "label": "random", "budget": {"kind": "bytes", "size": 9}}]
    assert series_of({"rows": rows}, "m", "s") == {
        "dm": [Point(20, 7, 5.0, None, None, "1 set, 1 student in all")],
        "random": [Point(None, 7, 5.0, None, None, "1 set, 1 student in all")],
    }


@pytest.mark.parametrize(("low", "high"), [(1, 2), (0.3, 1e9), (999, 1001), (20, 500)])
def test_logarithmic_ticks_are_few_and_inside(low, high):
    axis = Axis.along_x([low, high], logarithmic=True)
    ticks = axis.ticks(6)
    assert 1 <= len(ticks) <= 7
    assert all(axis.start <= x <= axis.end for x, _ in ticks)
    assert math.isclose(axis.at(axis.low), axis.start)
