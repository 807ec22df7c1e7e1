"""A study's page: what it says of methods, budgets, bytes, failures, and of a folder that is no study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from limbeck.cli import main
from limbeck.errors import FormatError
from limbeck.report import write_study_report
from limbeck.report.study_read import read_study
from limbeck.report.study_table import panels_of
from limbeck.studies import spec
from tests.report.pages import Page
from tests.report.studied import ERROR, SOURCE, about, cell, make_study


def row(label, size, mean, count, interval=None, difference=None, kind="per class", sets=(0, 1)):
    score = {"mean": mean, "std": 1.0, "interval": interval, "over": "sets"}
    if difference is not None:
        score["difference"] = {**score, "mean": difference[0], "interval": difference[1:] or None, "sets": 2}
    name = label.replace(", ", "-")
    return {
        "label": label.partition(",")[0],
        "method": label.partition(",")[0],
        "budget": {"kind": kind, "size": size},
        "student": "convnet",
        "n": {"sets": len(sets), "students": 5 * len(sets)},
        "bytes": count,
        "steps": 5,
        "seconds": 30.0,
        "scores": {"fused": score},
        "sets": [{"path": f"/far/away/{name}-{size}-s{s}", "seed": s, "students": 5, "mean": {}} for s in sets],
    }


def comparison(rows, unit="%"):
    whole = {**row("whole data", None, 95.0, None, sets=()), "n": {"sets": 0, "students": 3}}
    return {
        "protocol": "recognition-avdd",
        "version": 1,
        "selection": "last epoch",
        "split": "test",
        "dataset": "toy",
        "data_hash": "ab" * 32,
        "students": ["convnet"],
        "as_published": False,
        "items": None,
        "metrics": ["fused"],
        "units": {"fused": unit},
        "chances": {"fused": 25.0},
        "baseline": "random",
        "rows": rows,
        "whole": [whole],
        "left_out": [],
        "notes": [],
    }


def panel(*rows, unit="%"):
    (found,) = panels_of(comparison(list(rows), unit))
    return found


def test_a_difference_counts_only_where_its_interval_leaves_zero_out():
    found = panel(
        row("random", 1, 40.0, 100),
        row("dm", 1, 45.0, 100, difference=(5.0, 1.0, 9.0)),
        row("dc", 1, 43.0, 100, difference=(3.0, -1.0, 7.0)),
        row("mtt", 1, 35.0, 100, difference=(-5.0, -9.0, -1.0)),
        row("one", 1, 60.0, 100, difference=(20.0,)),
    )
    ((budget, rows),) = found.groups
    assert budget == "1 per class"
    assert [r.difference and r.difference.verdict for r in rows] == [None, "better", "", "worse", ""]
    assert [r.label for r in rows if r.leads] == ["one"]


def test_of_a_rank_less_is_better():
    found = panel(row("random", 1, 9.0, 100), row("dm", 1, 4.0, 100, difference=(-5.0, -9.0, -1.0)), unit="rank")
    assert found.groups[0][1][1].difference.verdict == "better"
    assert found.best.label == "dm"


def test_whoever_scores_more_in_fewer_bytes_stands_on_the_frontier():
    found = panel(
        row("random", 90_000, 71.0, 89_000, kind="bytes"),
        row("dm", 1, 60.0, 90_000),
        row("random", 1, 40.0, 90_000),
        row("dm", 10, 80.0, 900_000),
        row("herding", 10, 70.0, 900_000),
    )
    assert [(r.label, r.budget) for r in found.frontier] == [("random", "90.0 kB"), ("dm", "10 per class")]
    assert [name for name, _ in found.groups] == ["90.0 kB", "1 per class", "10 per class"]
    assert {curve.name for curve in found.by_bytes.curves} == {"random", "dm", "herding"}


def test_rows_are_called_as_the_study_calls_them(tmp_path):
    stored = {"fp32": "dm-fast-1-s{}", "uint8": "dm-fast-uint8-1-s{}"}
    cells = [cell(name.format(s), "dm, fast", 1, s, storage=kind) for kind, name in stored.items() for s in (0, 1)]
    rows = [row("dm, fast", 1, 50.0, 400), row("dm, fast-uint8", 1, 49.0, 100), row("dm, unknown", 1, 49.0, 100)]
    found = {"study": about(), "cells": cells, "comparisons": [comparison(rows)]}
    (tmp_path / "comparison.json").write_text(json.dumps(found))
    study = read_study(tmp_path)
    assert [r["label"] for r in study.comparisons[0]["rows"]] == ["dm, fast", "dm, fast, uint8", "dm"]
    assert study.labels == ["dm, fast", "dm, fast, uint8"]
    assert study.source == ""


def test_real_items_in_as_many_bytes_stand_beside_the_set(tmp_path):
    cells = [cell("dm-1-s0", "dm", 1, 0), cell("same-1-s0", "same bytes", 1, 0)]
    rows = [row("dm", 1, 50.0, 400, sets=(0,)), row("same", 400, 52.0, 390, kind="bytes", sets=(0,))]
    rows[1]["sets"][0]["path"] = "runs/same-1-s0/results/x.json"
    found = {"study": about(), "cells": cells, "comparisons": [comparison(rows)]}
    (tmp_path / "comparison.json").write_text(json.dumps(found))
    ((panel_,),) = map(panels_of, read_study(tmp_path).comparisons)
    ((budget, rows_),) = panel_.groups
    assert budget == "1 per class"
    assert [(r.label, r.budget, r.leads) for r in rows_] == [
        ("dm", "1 per class", False),
        ("same bytes", "400 B", True),
    ]


def test_the_file_on_the_page_asks_for_the_same_study(folder, tmp_path):
    (tmp_path / "again.yaml").write_text(read_study(folder).source)
    assert spec.read_study(tmp_path / "again.yaml").hash == spec.read_study(SOURCE).hash


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("studies") / "two methods", toy, sizes=(1,))


def text_of(path):
    return " ".join(Page(path.read_text(encoding="utf-8")).text.split())


def test_the_page_compares_and_names_what_failed(folder, capsys):
    assert main(["report", str(folder)]) == 0
    path = folder / "report.html"
    assert capsys.readouterr().out.strip() == str(path)
    text = text_of(path)
    found = json.loads((folder / "comparison.json").read_text())["comparisons"][0]
    assert len(found["rows"]) == 2
    best = max(found["rows"], key=lambda entry: entry["scores"]["fused"]["mean"])
    run = Path(best["sets"][0]["path"]).parts[-3]
    for entry in found["rows"]:
        score = entry["scores"]["fused"]
        assert f"{score['mean']:.1f} ± {score['std']:.1f}" in text
        assert "2 × 2" in text
    for part in (
        "two methods on toy",
        "avdd, factor 2",
        "1 per class",
        "whole data",
        "chance",
        "of 6 runs",
        "1 of 6 runs failed",
        "1 of 6 runs are still to be done",
        ERROR["what"],
        ERROR["hint"],
        f'limbeck.load("two methods/runs/{run}")',
        "limbeck study FILE",
        "recognition-",
        "last epoch",
        "No other set here scores more in as few bytes as",
    ):
        assert part in text, part
    assert "<b>not finite" not in path.read_text(encoding="utf-8")


def test_what_is_not_there_is_left_out(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "runs" / "random-1-s0")
    (copy / "study.json").unlink()
    text = text_of(write_study_report(copy, tmp_path / "page.html"))
    assert "random cannot be shown" in text
    assert "limbeck study" not in text
    shutil.rmtree(copy / "runs")
    assert "Side by side" not in text_of(write_study_report(copy))
    found = json.loads((copy / "comparison.json").read_text())
    (copy / "comparison.json").write_text(json.dumps({**found, "comparisons": []}))
    assert "nothing to compare" in text_of(write_study_report(copy))


@pytest.mark.parametrize("damage", ["[]", "{}", '{"study": {}, "cells": [], "comparisons": []}', "{", '{"study": 3}'])
def test_what_is_no_study_is_refused(tmp_path, damage):
    with pytest.raises(FormatError, match="not a study"):
        write_study_report(tmp_path)
    (tmp_path / "comparison.json").write_text(damage)
    with pytest.raises(FormatError, match=r"comparison\.json"):
        write_study_report(tmp_path)


def test_a_damaged_cell_or_row_is_told(tmp_path):
    good = {"study": about(), "cells": [cell("a", "dm", 1, 0)], "comparisons": [comparison([row("dm", 1, 5.0, 9)])]}
    for break_it in (
        lambda found: found["cells"][0].pop("state"),
        lambda found: found["cells"][0].update(budget=3),
        lambda found: found["comparisons"][0]["rows"][0].pop("sets"),
        lambda found: found["comparisons"][0]["rows"][0].pop("scores"),
        lambda found: found["comparisons"][0].pop("units"),
    ):
        found = json.loads(json.dumps(good))
        break_it(found)
        (tmp_path / "comparison.json").write_text(json.dumps(found))
        with pytest.raises(FormatError, match="comparison"):
            write_study_report(tmp_path)
