"""What a comparison looks like: every form says what its numbers are."""

from __future__ import annotations

import csv
import io

import pytest

from limbeck.errors import ConfigError
from limbeck.evaluation.compare import compare
from limbeck.evaluation.comparison import as_text, cells, columns, footnotes, title
from tests.evaluation.made_results import result, run


@pytest.fixture
def table(tmp_path):
    whole = result({"nfnet": {0: 40.0, 1: 44.0}}, None, 0, trained_on=None)
    base = [run(tmp_path / f"r{k}", {0: 1.0 + k, 1: 2.0}, "random", k, whole=whole) for k in (0, 1)]
    ours = [run(tmp_path / f"m{k}", {0: 3.0, 1: 4.5 + k}, "mtt_vl", k, {"pairs": 20}, steps=4) for k in (0, 1)]
    return compare([*base, *ours], baseline="random", metric="Mean,IR@1")


def test_formats_say_what_the_numbers_are(table):
    for form in ("table", "markdown", "latex"):
        text = as_text(table, form)
        for part in (
            "retrieval-mdm v1, last epoch, test split of tiny",
            "abababababab",
            "2 x 2",
            "whole data",
            "chance",
        ):
            assert part in text, (form, part)
    assert "(as published)" not in title(table)
    rows = cells(table)
    assert {len(row) for row in rows} == {len(columns(table))}
    assert [row[0] for row in rows] == ["random", "mtt_vl", "whole data", "chance"]
    latex = as_text(table, "latex")
    assert r"mtt\_vl & 20 pairs" in latex
    assert r"95 \% interval" in latex
    assert latex.count(r"\\") == 6
    printed = "\n".join(line for line in latex.splitlines() if not line.startswith("%"))
    assert "retrieval-mdm v1, last epoch, test split of tiny" in printed  # not only for who reads the source
    with pytest.raises(ConfigError, match="no format 'cvs'") as caught:
        as_text(table, "cvs")
    assert "'csv'" in caught.value.hint


def test_csv_has_every_number_as_it_is(table):
    lines = list(csv.DictReader(io.StringIO(as_text(table, "csv"))))
    assert [(line["label"], line["metric"]) for line in lines] == [
        (label, metric) for label in ("random", "mtt_vl", "whole data") for metric in ("Mean", "IR@1")
    ]
    score = table["rows"][1]["scores"]["Mean"]
    told = {name: float(lines[2][name]) for name in ("mean", "low", "difference", "difference_high")}
    expected = (score["mean"], score["interval"][0], score["difference"]["mean"], score["difference"]["interval"][1])
    assert tuple(told.values()) == expected
    assert {(line["protocol"], line["selection"]) for line in lines} == {("retrieval-mdm", "last epoch")}


def test_what_few_items_leave_open_is_said(tmp_path):
    found = compare([run(tmp_path / "a", {0: 20.0}, items=100), run(tmp_path / "b", {0: 50.0}, "mdm", items=100)])
    assert any("100 test items leave a standard error of 4.0 to 5.0 points" in note for note in footnotes(found))
