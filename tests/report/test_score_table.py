"""Scores of a result as the rows of a page."""

from __future__ import annotations

import json

import pytest

from limbeck.report import write_report
from limbeck.report.scores import confusion_table, score_table
from tests.report.pages import RESULT, make_run, read, synthetic_set


def test_scores_are_what_an_evaluation_writes():
    from limbeck.evaluation.result import Result, Run

    def result(students, base, n):
        runs = tuple(
            Run(s, seed, {"fused": base + 10 * k + seed, "image": base - 20.0})
            for k, s in enumerate(students)
            for seed in range(n)
        )
        settings = ("recognition-avdd", 1, "last epoch", tuple(students), tuple(range(n)), "test", "farm", "ab", {})
        return Result(*settings, runs, chance=25.0, majority=30.0, seconds=1.0, metrics=("fused", "image")).to_dict()

    table = score_table(result(["convnet", "lenet"], 50.0, 3), result(["convnet"], 90.0, 2), 3)
    assert [(r.student, r.metric, r.mean, r.n, r.whole, r.whole_n) for r in table.rows] == [
        ("convnet", "Picture", 30.0, 3, 70.0, 2),
        ("convnet", "Fused", 51.0, 3, 90.5, 2),
        ("lenet", "Picture", 30.0, 3, None, None),
        ("lenet", "Fused", 61.0, 3, None, None),
    ]
    fused = table.rows[1]
    assert fused.std == 1.0
    assert fused.low == pytest.approx(51 - 4.303 / 3**0.5, abs=1e-3)
    assert (table.chance, table.headline) == (25.0, fused)
    alone = score_table(result(["convnet"], 50.0, 1), None, 3)
    assert (alone.rows[1].std, alone.rows[1].low, alone.rows[1].whole) == (None, None, None)
    assert score_table({"protocol": "p"}, None, 3) is None


def test_a_whole_score_in_a_file_of_its_own_is_found(tmp_path):
    result = {k: v for k, v in RESULT.items() if k != "whole"}
    made = make_run(tmp_path / "run", synthetic_set(), result=result)
    assert "no upper bound" in read(write_report(made)).text
    (made / "whole.json").write_text(json.dumps(RESULT["whole"]))
    page = read(write_report(made))
    assert "99.4" in page.text
    assert "no upper bound" not in page.text


def test_who_was_taken_for_whom(tmp_path):
    confusion = [[3, 1, 0], [0, 4, 0], [0, 0, 0]]
    made = make_run(tmp_path / "run", synthetic_set(), result={**RESULT, "confusion": confusion, "majority": 41.25})
    page = read(write_report(made))
    shares = [value for tag, name, value in page.attributes if tag == "td" and name == "style"]
    assert [float(s.removeprefix("--share: ").removesuffix("%")) for s in shares] == [75, 25, 0, 0, 100, 0, 0, 0, 0]
    assert "most frequent class gives 41.2" in page.text
    without = read(write_report(make_run(tmp_path / "run", synthetic_set(), result=RESULT)))
    assert "taken for" not in without.text
    assert "most frequent" not in without.text


@pytest.mark.parametrize(
    "confusion",
    [
        None,
        3,
        [],
        [[1, 2, 3]] * 2,
        [[1, 2]] * 3,
        [[1, 2, "3"]] * 3,
        [[1, 2, -1]] * 3,
        [[1, 2, 10**400]] * 3,
        ["abc"] * 3,
    ],
)
def test_a_confusion_of_something_else_is_not_shown(confusion):
    assert confusion_table({"confusion": confusion}, ("a", "b", "c")) is None


def test_a_rank_is_no_percentage(tmp_path):
    """Of retrieval: MedR has no bar and no per cent sign, chance is told by metric, and R@1 leads the page."""
    mean = {"audio->image R@1": 12.5, "audio->image MedR": 6.5, "image->audio R@1": 17.5, "image->audio MedR": 4.5}
    result = {
        "protocol": "retrieval-class",
        "version": 1,
        "students": ["convnet"],
        "runs": [{"student": "convnet"}] * 2,
        "mean": mean,
        "chance": None,
        "chances": {name: 7.0 if "MedR" in name else 10.0 for name in mean},
        "units": {name: "rank" if "MedR" in name else "%" for name in mean},
        "majority": None,
    }
    table = score_table(result, None, 10)
    assert [(r.metric, r.unit, r.chance) for r in table.rows] == [
        ("Sound → Picture R@1", "%", 10.0),
        ("Sound → Picture MedR", "rank", 7.0),
        ("Picture → Sound R@1", "%", 10.0),
        ("Picture → Sound MedR", "rank", 7.0),
    ]
    assert table.headline is table.rows[0]
    assert table.chance is None
    page = read(write_report(make_run(tmp_path / "run", synthetic_set(), result=result)))
    text = " ".join(page.text.split())
    assert "MedR a rank of which less is better" in text
    assert "10 for Sound → Picture R@1, 7 for Sound → Picture MedR" in text
    assert "accuracy" not in text.partition("Scores")[0]
    assert sum(name == "class" and value == "fill" for _, name, value in page.attributes) == 2


def test_what_else_a_set_was_scored_by(tmp_path):
    folder = make_run(tmp_path / "run", synthetic_set(), result=RESULT)
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "last.json").write_text(json.dumps(RESULT))
    assert "What else this set was scored by" not in read(write_report(folder)).text
    other = {**RESULT, "protocol": "recognition-avdd-code", "mean": {"image": 12.5, "fused": 34.5}}
    (folder / "results" / "other.json").write_text(json.dumps(other))
    page = read(write_report(folder))
    assert "What else this set was scored by" in page.text
    assert "recognition-avdd-code v1" in page.text
    assert "34.5 ± 0.5 %" in page.text
    assert "12.5" not in page.text  # of each, the number that stands for it
