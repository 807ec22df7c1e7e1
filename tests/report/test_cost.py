"""What a run cost: hand-made seconds, the number of students after which it pays, and the two lines that cross."""

from __future__ import annotations

import pytest

from limbeck.report.cost import at_work, break_even, cost_chart, cost_of, seconds_in_words

LOG = """2026-01-01T10:00:00Z started: dm on toy
2026-01-01T10:00:05Z choosing real items: herding
2026-01-01T10:01:05Z at step 40
2026-01-02T08:00:00Z resumed after step 40
2026-01-02T08:00:30Z at step 100
2026-01-02T08:00:30Z real statistics: 60 steps from the cache, 40 computed
2026-01-02T08:00:35Z finished
"""


def scored(seconds, count=2, *, training=None, **settings):
    found = {
        "seconds": seconds,
        "runs": [{}] * count,
        "settings": {"device": "cpu", "threads": 1, "torch": "2", **settings},
    }
    return found if training is None else {**found, "training_seconds": training}


@pytest.mark.parametrize(
    ("distilling", "on_whole", "on_set", "students"),
    [
        (100.0, 60.0, 10.0, 2),
        (100.0, 35.0, 10.0, 4),  # 4 x 25: to the second
        (100.1, 35.0, 10.0, 5),
        (0.3, 0.2, 0.1, 3),  # 0.1 + 0.2 is a little over 0.3
        (0.0, 60.0, 10.0, 1),
        (1.0, 60.0, 10.0, 1),
        (3600.0, 10.5, 10.0, 7200),
        (100.0, 10.0, 10.0, None),
        (100.0, 9.0, 10.0, None),
    ],
)
def test_after_how_many_students_it_pays(distilling, on_whole, on_set, students):
    assert break_even(distilling, on_whole, on_set) == students
    if students is not None:
        assert distilling + students * on_set <= students * on_whole + 1e-9
        assert students == 1 or distilling + (students - 1) * on_set > (students - 1) * on_whole


def test_a_run_that_was_taken_up_again_counts_its_work_alone(tmp_path):
    (tmp_path / "log").write_text(LOG)
    cost = cost_of(tmp_path, [{"seconds": 80.0}], scored(22, training=20), scored(150, 3, training=120))
    assert cost.rows == [
        ("Making the set", "100.0 s", "80.0 s of it steps"),  # 65 + 35
        ("One student on this set", "10.0 s", "mean of 2"),
        ("One student on the whole data", "40.0 s", "mean of 3"),
    ]
    assert cost.break_even == 4  # 100 / 30
    assert cost.verdict.startswith("Distilling has paid for itself after 4 students: it took 100.0 s")
    assert "here real statistics of 60 steps did" in cost.notes[0]
    assert cost.notes[1] == "Students were trained on cpu, 1 thread, torch 2."


def test_old_results_are_told_to_hold_scoring(tmp_path):
    cost = cost_of(tmp_path, [{"seconds": 50.0}], scored(20), scored(120, threads=2))
    assert [row[2] for row in cost.rows[1:]] == ["mean of 2, with scoring"] * 2
    assert cost.break_even == 1
    assert "1 student:" in cost.verdict
    assert cost.notes[1].startswith("Not measured alike: students of the set on cpu, 1 thread, torch 2, of the whole ")
    assert cost.notes[1].endswith("on cpu, 2 threads, torch 2.")


def test_what_never_pays_is_said_plainly(tmp_path):
    cost = cost_of(tmp_path, [{"seconds": 50.0}], scored(20, 1), scored(20, 1))
    assert cost.break_even is None
    assert cost.verdict == (
        "It never pays for itself in time: a student takes 20.0 s on this set and 20.0 s on the whole data."
    )
    assert cost.plot.crossing is None
    assert "cross" not in cost.plot.description


def test_without_whole_data_it_says_what_is_missing(tmp_path):
    cost = cost_of(tmp_path, [{"seconds": 50.0}], scored(20, 1), None)
    assert (cost.plot, cost.break_even) == (None, None)
    assert "limbeck evaluate RUN --whole" in cost.verdict
    assert [row[0] for row in cost.rows] == ["Making the set", "One student on this set"]
    assert cost_of(tmp_path, [], None, None) is None
    assert cost_of(tmp_path, [{"seconds": None}, {"seconds": "3"}], None, None) is None
    assert cost_of(tmp_path, [], {"seconds": float("nan"), "runs": [{}]}, None) is None


def test_a_damaged_log_is_passed_over(tmp_path):
    (tmp_path / "log").write_text(
        "what\n2026-01-01T10:00:00Z started\n\n2026-13-01T10:00:00Z no\n2026-01-01T10:00:07Z finished\n"
    )
    assert cost_of(tmp_path, [], None, None).rows == [("Making the set", "7.0 s", "")]


def test_a_run_that_was_away_before_its_first_checkpoint_was_not_at_work(tmp_path):
    stamps = ("01T10:00:00Z started", "01T10:00:07Z choosing", "02T10:00:00Z resuming", "03T10:00:00Z resuming",
              "03T10:00:05Z resumed after step 4", "03T10:00:08Z finished")  # fmt: skip
    (tmp_path / "log").write_text("\n".join(f"2026-01-{stamp}" for stamp in stamps))
    assert cost_of(tmp_path, [], None, None).rows == [("Making the set", "15.0 s", "")]
    assert at_work(tmp_path, [{"seconds": 20.0}, {"seconds": float("inf")}]) == 20


def test_stamps_of_two_kinds_are_no_error(tmp_path):
    (tmp_path / "log").write_text("2026-01-01T10:00:00 started\n2026-01-03T10:00:00Z finished\n")
    assert cost_of(tmp_path, [{"seconds": float("nan")}], None, None).rows[0][0] == "Making the set"


def test_the_lines_cross_where_it_pays():
    plot = cost_chart(3000.0, 500.0, 200.0)  # after 10
    ours, whole = plot.curves
    ends = [[tuple(map(float, p.split(","))) for p in curve.points.split()] for curve in (ours, whole)]

    def at(line, x):
        (x0, y0), (x1, y1) = line
        return y0 + (y1 - y0) * (x - x0) / (x1 - x0)

    assert at(ends[0], plot.crossing.x) == pytest.approx(at(ends[1], plot.crossing.x), abs=0.2)
    assert plot.crossing.y == pytest.approx(at(ends[0], plot.crossing.x), abs=0.2)
    assert plot.crossing.says == "10 students"
    assert plot.y_name == "Total hours"  # 20 x 500 s
    assert plot.x_ticks[0][1] == "0"
    assert plot.x_ticks[-1][1] == "20"
    assert "3,000" not in ours.told
    assert ours.told == "50.0 min, then 3.3 min each"


def test_a_crossing_beyond_the_chart_is_not_drawn():
    plot = cost_chart(1e9, 60.0, 10.0)
    assert plot.crossing is None
    assert plot.x_ticks[-1][1] == "10,000"


def test_seconds_have_three_digits():
    assert [seconds_in_words(s) for s in (0.0412, 12.34, 246, 9000)] == ["0.041 s", "12.3 s", "4.1 min", "2.5 h"]
