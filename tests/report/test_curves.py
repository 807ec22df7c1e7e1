"""Loss charts: right scales, and no number that breaks them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.report.curves import POINTS, loss_chart, score_chart


def steps(losses, **terms):
    return [
        {"step": i + 1, "loss": loss, "terms": {name: values[i] for name, values in terms.items()}}
        for i, loss in enumerate(losses)
    ]


def points(line):
    return [tuple(map(float, p.split(","))) for p in line.points.split()]


def test_no_steps_no_chart():
    assert loss_chart([]) is None
    assert loss_chart(steps([math.nan])) is None


def test_a_falling_loss_falls_and_one_term_is_not_drawn_twice():
    chart = loss_chart(steps([5.0, 4.0, 3.0], base=[5.0, 4.0, 3.0]))
    assert [line.name for line in chart.lines] == ["loss"]
    ys = [y for _, y in points(chart.lines[0])]
    assert ys == sorted(ys)  # SVG counts downwards
    assert not chart.logarithmic
    assert (chart.lines[0].first, chart.lines[0].last) == ("5", "3")


def test_a_wide_range_is_logarithmic_and_decades_are_evenly_spaced():
    chart = loss_chart(steps([1000.0, 100.0, 10.0, 1.0]))
    assert chart.logarithmic
    ys = [y for _, y in points(chart.lines[0])]
    assert ys[1] - ys[0] == pytest.approx(ys[3] - ys[2], abs=0.2)
    assert [word for _, word in chart.y_ticks] == ["1", "10", "100", "1,000"]


def test_negative_terms_stay_linear():
    chart = loss_chart(steps([100.0, 1.0], a=[101.0, 3.0], b=[-1.0, -2.0]))
    assert not chart.logarithmic
    assert [line.name for line in chart.lines] == ["loss", "a", "b"]


def test_long_runs_are_thinned_and_keep_their_mean():
    chart = loss_chart(steps([float(i % 2) for i in range(5000)]))
    xs = [x for x, _ in points(chart.lines[0])]
    assert len(xs) <= POINTS
    assert chart.left <= min(xs) < max(xs) <= chart.right
    assert chart.steps == 5000


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40))
def test_every_point_is_inside_the_frame(values):
    chart = loss_chart(steps([a for a, _ in values], a=[a for a, _ in values], b=[b for _, b in values]))
    if chart is None:
        return
    for line in chart.lines:
        for x, y in points(line):
            assert chart.left - 0.1 <= x <= chart.right + 0.1
            assert chart.top - 0.1 <= y <= chart.base + 0.1
    for position, _ in chart.y_ticks:
        assert chart.top - 0.1 <= position <= chart.base + 0.1


def test_scores_stand_above_the_losses_of_their_steps():
    metrics = [{"step": k, "loss": 1.0 + k, "terms": {}} for k in range(1, 101)]
    looks = [(0.0, 3.0), (50.0, 9.0), (80.0, 5.0)]
    scores, losses = score_chart(looks, metrics, 50), loss_chart(metrics, looks)
    assert [x for x, _ in scores.x_ticks] == [x for x, _ in losses.x_ticks]
    assert scores.steps == 3
    place = {word: x for x, word in scores.x_ticks}
    assert scores.rule == pytest.approx((place["40"] + place["60"]) / 2)
    assert losses.rule is None
    assert score_chart(looks, metrics, None).rule is None
    assert score_chart(looks[:1], metrics, 50) is None
    assert score_chart(looks, [], 200).rule is None
