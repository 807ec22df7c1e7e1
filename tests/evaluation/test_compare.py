"""Scores in one table: those that mean the same, with means, spreads and differences as defined, and no others."""

from __future__ import annotations

import json
import statistics

import pytest

from limbeck.errors import ConfigError, FormatError
from limbeck.evaluation.compare import compare
from limbeck.evaluation.comparison import columns, footnotes
from tests.evaluation.made_results import result, run

T975 = {1: 12.7062047, 2: 4.30265273}


def test_a_row_is_the_mean_over_sets_of_the_mean_over_students(tmp_path):
    one = run(tmp_path / "0", {0: 10.0, 1: 14.0}, seed=0, steps=8)
    two = run(tmp_path / "1", {0: 18.0, 1: 16.0, 2: 20.0}, seed=1, steps=8)
    found = compare([one, two])
    (row,) = found["rows"]
    means = [12.0, 18.0]
    score = row["scores"]["Mean"]
    assert found["metrics"] == ["Mean"]
    assert score["mean"] == 15.0  # not that of the five students, 15.6
    assert score["std"] == pytest.approx(statistics.stdev(means))
    half = T975[1] * statistics.stdev(means) / 2**0.5
    assert score["interval"] == pytest.approx([15 - half, 15 + half])
    assert score["over"] == "sets"
    assert row["n"] == {"sets": 2, "students": 5}
    assert (row["budget"], row["bytes"], row["steps"], row["seconds"]) == ({"kind": "pairs", "size": 20}, 80_000, 8, 2)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_of_one_set_the_spread_is_its_students(tmp_path):
    (row,) = compare([run(tmp_path / "0", {0: 10.0, 1: 14.0, 2: 12.0})], metric="IR@1")["rows"]
    half = T975[2] * 1.0 / 3**0.5
    assert row["scores"]["IR@1"] == {
        "mean": 6.0,
        "std": pytest.approx(1.0),
        "interval": pytest.approx([6 - half, 6 + half]),
        "over": "students",
    }


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"version": 2}, "version 1 against 2"),
        ({"selection": "best on the validation split"}, "selection last epoch against best on the validation split"),
        ({"split": "validation"}, "split test against validation"),
        ({"data_hash": "cd" * 32}, "data hash abababababab against cdcdcdcdcdcd"),
        ({"as_published": True}, "as published False against True"),
        ({"settings": {"captions": "bert"}}, "captions minilm against bert"),
        ({"settings": {"channels": 32}}, "channels 16 against 32"),
        ({"settings": dict.fromkeys("abcdef", 1)}, "; and 2 more"),
        ({"settings": {"recipe": {"epochs": 3}}}, "recipe.epochs not told against 3"),
        ({"settings": {"rates": {"text": 0.2}}}, "rates.text not told against 0.2"),
        ({"protocol": "retrieval-vld"}, "protocol retrieval-mdm against retrieval-vld"),
    ],
)
def test_what_means_something_else_is_refused(tmp_path, other, named):
    one, two = run(tmp_path / "one", {0: 1.0}), run(tmp_path / "two", {0: 1.0}, method="mdm", **other)
    with pytest.raises(ConfigError) as caught:
        compare([one, two])
    assert named in str(caught.value)
    assert str(one) in str(caught.value)
    assert str(two) in str(caught.value)
    assert ("--protocol" in caught.value.hint) == ("protocol" in other)


def test_other_students_are_refused(tmp_path):
    one, two = run(tmp_path / "one", {0: 1.0}), run(tmp_path / "two", {"vit": {0: 1.0}}, method="mdm")
    with pytest.raises(ConfigError, match="students nfnet against vit"):
        compare([one, two])


def test_the_protocol_all_runs_hold_is_taken_or_the_one_that_is_named(tmp_path):
    one, two = run(tmp_path / "one", {0: 1.0}), run(tmp_path / "two", {0: 2.0}, method="mdm")
    run(one, {0: 5.0}, name="b.json", protocol="retrieval-vld")
    assert compare([one, two])["protocol"] == "retrieval-mdm"
    run(two, {0: 7.0}, method="mdm", name="b.json", protocol="retrieval-vld")
    with pytest.raises(ConfigError, match=r"2 kinds of scores: .*protocol") as caught:
        compare([one, two])
    assert "--protocol" in caught.value.hint
    found = compare([one, two], protocol="retrieval-vld")
    assert [row["scores"]["Mean"]["mean"] for row in found["rows"]] == [5, 7]
    assert [r["scores"]["Mean"]["mean"] for r in compare([one / "results" / "b.json", two], protocol=None)["rows"]] == [
        5,
        7,
    ]
    with pytest.raises(ConfigError, match="no run has a score under 'retrieval-vdl'") as caught:
        compare([one, two], protocol="retrieval-vdl")
    assert "'retrieval-vld'" in caught.value.hint


def test_as_published_is_a_table_of_its_own(tmp_path):
    """Rates, loss and similarity are then each set's; a run that holds both scores is in either table."""
    paths = [run(tmp_path / m, {0: 1.0}, m) for m in ("lors", "mdm")]
    for k, path in enumerate(paths):
        told = {"rates": 0.1 + k, "loss": f"loss {k}", "similarity": not k}
        run(path, {0: 5.0}, path.name, name="b.json", as_published=True, settings=told)
    plain, published = compare(paths), compare(paths, as_published=True)
    assert [plain["as_published"], published["as_published"]] == [False, True]
    assert [row["scores"]["Mean"]["mean"] for row in (*plain["rows"], *published["rows"])] == [1, 1, 5, 5]
    alone = run(tmp_path / "random", {0: 1.0})
    assert compare([*paths, alone], as_published=True)["left_out"][0]["why"] == "no score as published"
    assert compare([p / "results" / "b.json" for p in paths])["as_published"]


def test_a_run_without_the_score_is_left_out_and_said(tmp_path):
    scored, fresh = run(tmp_path / "one", {0: 1.0}), run(tmp_path / "two", {0: 2.0})
    (fresh / "results" / "a.json").unlink()
    found = compare([scored, fresh])
    assert found["left_out"] == [{"path": str(fresh), "why": "not scored yet"}]
    assert any("not scored yet" in note for note in footnotes(found))
    with pytest.raises(ConfigError, match="no score to compare"):
        compare([fresh])


def test_settings_tell_rows_apart_and_seeds_do_not(tmp_path):
    paths = [
        run(tmp_path / f"{k}{seed}", {0: 1.0}, "mdm", seed, {"method": {"agreement": a, "beta": 1}, "threads": seed})
        for k, a in enumerate((0.8, 0.0))
        for seed in (0, 1)
    ]
    for k, path in enumerate(paths):  # a run's hash is of its settings, too
        for place in ("synthetic/synthetic.json", "results/a.json"):
            text = (path / place).read_text()
            (path / place).write_text(text.replace('"mdm0"', f'"{k}"').replace('"mdm1"', f'"{k}"'))
    rows = compare(paths)["rows"]
    assert [row["label"] for row in rows] == ["mdm · agreement 0.8", "mdm · agreement 0.0"]
    assert [row["n"]["sets"] for row in rows] == [2, 2]


def test_a_result_knows_its_set_without_the_run(tmp_path):
    """What it was trained on is told in it; a result that does not tell stands alone."""
    told = [{"pairs": 9, "seed": k, "lr": 0.5, "threads": k} for k in (0, 1)]
    for k in (0, 1):
        about = {"method": "mdm", "items": 9, "bytes": 5, "run_hash": str(k)}
        for name, settings in (("a", told[k]), ("b", None)):
            made = result({"nfnet": {0: 1.0 + k}}, "mdm", k, trained_on=about | {"settings": settings})
            (tmp_path / f"{name}{k}.json").write_text(json.dumps(made))
    (row,) = compare([tmp_path / "a0.json", tmp_path / "a1.json"])["rows"]
    assert (row["label"], row["budget"], row["n"]["sets"]) == ("mdm", {"kind": "pairs", "size": 9}, 2)
    rows = compare([tmp_path / "b0.json", tmp_path / "b1.json"])["rows"]
    assert [row["label"] for row in rows] == [f"mdm · {tmp_path / name}" for name in ("b0.json", "b1.json")]
    assert [row["budget"] for row in rows] == [{"kind": "items", "size": 9}] * 2


def test_budgets_come_in_order_and_methods_as_they_were_given(tmp_path):
    paths = [
        run(tmp_path / f"{m}{n}", {0: 1.0}, m, n, {"pairs": n}) for n in (100, 20) for m in ("random", "mdm", "lors")
    ]
    rows = compare(paths)["rows"]
    assert [(r["budget"]["size"], r["label"]) for r in rows] == [
        (n, m) for n in (20, 100) for m in ("random", "mdm", "lors")
    ]


def test_architectures_are_told_apart(tmp_path):
    paths = [run(tmp_path / m, {"nfnet": {0: x}, "vit": {0: x + 1}}, m) for m, x in (("random", 1.0), ("mdm", 3.0))]
    found = compare(paths)
    assert [(r["student"], r["label"], r["scores"]["Mean"]["mean"]) for r in found["rows"]] == [
        ("nfnet", "random", 1),
        ("nfnet", "mdm", 3),
        ("vit", "random", 2),
        ("vit", "mdm", 4),
    ]
    assert "student" in columns(found)


def test_differences_are_paired_by_set_over_shared_students(tmp_path):
    base = [run(tmp_path / f"r{k}", {0: 10.0 * k, 1: 10.0 * k + 2}, "random", k) for k in (0, 1, 2)]
    # far above in the seeds both have; set 7 and student 9 have nothing to be paired with
    ours = [
        run(tmp_path / f"m{k}", {0: 10.0 * (k % 5) + 5 + k, 1: 10.0 * (k % 5) + 5 + k, 9: 99.0}, "mdm", k)
        for k in (0, 1, 7)
    ]
    rows = compare([*base, *ours], baseline="random")["rows"]
    assert "difference" not in rows[0]["scores"]["Mean"]
    differences = [4.0, 5.0]
    half = T975[1] * statistics.stdev(differences) / 2**0.5
    assert rows[1]["scores"]["Mean"]["difference"] == {
        "mean": 4.5,
        "std": pytest.approx(statistics.stdev(differences)),
        "interval": pytest.approx([4.5 - half, 4.5 + half]),
        "over": "sets",
        "sets": 2,
    }


def test_one_set_under_several_seeds_counts_once(tmp_path):
    """Herding draws nothing: five seeds make one set, whose spread is that of its students."""
    same = [run(tmp_path / f"h{k}", {0: 10.0, 1: 14.0}, "herding", k, content="h") for k in (0, 1, 2)]
    drawn = [run(tmp_path / f"r{k}", {0: 1.0 + k, 1: 5.0 + k}, "random", k) for k in (0, 1, 2)]
    found = compare([*same, *drawn], baseline="herding")
    herding, random = found["rows"]
    assert (herding["n"], herding["scores"]["Mean"]["over"]) == ({"sets": 1, "students": 2}, "students")
    assert herding["scores"]["Mean"]["std"] == pytest.approx(8**0.5)
    assert any("herding, 20 pairs: 3 runs hold 1 different sets" in note for note in found["notes"])
    assert random["scores"]["Mean"]["difference"]["sets"] == 3  # each with the set its seed would have made
    assert random["scores"]["Mean"]["difference"]["mean"] == pytest.approx(-8)
    again = [run(tmp_path / f"k{k}", {0: 1.0, 1: 6.0}, "kcenter", k, content="k") for k in (0, 1, 2)]
    paired = compare([*same, *again], baseline="herding")["rows"][1]["scores"]["Mean"]["difference"]
    assert (paired["sets"], paired["over"]) == (1, "students")


def test_what_cannot_be_paired_is_said(tmp_path):
    base = run(tmp_path / "r", {0: 1.0, 1: 1.0}, "random", 0)
    other_seed, other_size = (
        run(tmp_path / "m", {0: 2.0}, "mdm", 3),
        run(tmp_path / "l", {0: 2.0}, "lors", 0, {"pairs": 9}),
    )
    found = compare([base, other_seed, other_size], baseline="random")
    assert all(not row["scores"]["Mean"].get("difference") for row in found["rows"])
    notes = " ".join(found["notes"])
    assert "lors, 9 pairs: random has no row at this budget" in notes
    assert "mdm, 20 pairs: random has no set" in notes
    with pytest.raises(ConfigError, match="no row 'rando'") as caught:
        compare([base, other_seed], baseline="rando")
    assert "'random'" in caught.value.hint


def test_a_set_counts_once(tmp_path):
    one = run(tmp_path / "one", {0: 1.0})
    with pytest.raises(ConfigError, match="the same set"):
        compare([one, one / "results" / "a.json"])


def test_whole_data_stands_below(tmp_path):
    whole = result({"nfnet": {0: 40.0, 1: 44.0}}, None, 0, trained_on=None)
    one = run(tmp_path / "one", {0: 1.0}, whole=whole)
    two = run(tmp_path / "two", {0: 2.0}, "mdm")
    (found,) = compare([one, two])["whole"]
    assert (found["student"], found["n"]["students"], found["scores"]["Mean"]["mean"]) == ("nfnet", 2, 42)
    (tmp_path / "whole.json").write_text(json.dumps(whole))
    alone = compare([two, tmp_path / "whole.json"])
    assert alone["whole"][0]["scores"] == found["scores"]
    assert len(alone["rows"]) == 1


def test_last_digits_and_fewer_students_are_noted(tmp_path):
    one = run(tmp_path / "one", {0: 1.0, 1: 2.0})
    two = run(tmp_path / "two", {0: 1.0}, "mdm", settings={"device": "cuda"})
    notes = compare([one, two])["notes"]
    assert any("device: cpu, cuda" in note for note in notes)
    assert any("same students" in note for note in notes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": []},
        {"runs": [{"student": "nfnet", "seed": 0}]},
        {"runs": [{"student": "nfnet", "seed": 0, "scores": {"Mean": float("nan")}}]},
        {"runs": [{"student": "nfnet", "seed": 0, "scores": {"Mean": 1}}] * 2},
        {"runs": ["nfnet"]},
        {"protocol": 7},
        {"settings": None},
    ],
)
def test_what_is_no_result_is_told(tmp_path, wrong):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**result({"nfnet": {0: 1.0}}, "dm", 0), **wrong}))
    with pytest.raises(FormatError, match=r"x\.json"):
        compare([path])


def test_what_is_neither_run_nor_result_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FormatError, match=str(path)):
            compare([path])
    with pytest.raises(ConfigError, match="no score to compare"):
        compare([])
    made = run(tmp_path / "run", {0: 1.0})
    with pytest.raises(ConfigError, match="no metric 'Meen'") as caught:
        compare([made], metric="Meen")
    assert "'Mean'" in caught.value.hint


def test_the_score_of_another_set_is_refused(tmp_path):
    made = run(tmp_path / "run", {0: 1.0})
    path = made / "synthetic" / "synthetic.json"
    path.write_text(path.read_text().replace("random0", "random1"))
    with pytest.raises(FormatError, match="another set"):
        compare([made])
