"""ImageBindDC's tables hold what is printed, and say what cannot be run, and why."""

from __future__ import annotations

import csv
import math

import pytest

from limbeck.recipes import recipe, recipes
from limbeck.recipes.cell import Cell, Recipe, Scoring, number
from limbeck.recipes.datasets import DATASETS, differences
from limbeck.recipes.listing import cell_card, cell_rows

# taken from the printed tables by themselves, and not from the recipes: (sum of the figures, how many there are)
SUMS = {
    "imagebind.table1": {"fused": (1776.97, 57)},
    "imagebind.table2": {"fused": (2670.5, 50)},
    "imagebind.table3": {"fused": (1432.71, 17)},
    "imagebind.table4": {f"{way} R@{k}": (total, 4) for way, k, total in (
        ("audio->text", 1, 14.72), ("audio->text", 5, 49.62), ("audio->text", 10, 79.86),
        ("text->audio", 1, 17.37), ("text->audio", 5, 57.19), ("text->audio", 10, 85.01),
    )},
    "imagebind.table5": {"fused": (740.13, 18)},
    "imagebind.table6": {"s": (4523.4, 12), "GB": (124.85, 12)},
    "imagebind.figure3": {"audio": (60.2, 2), "fused": (139.6, 2)},
    "imagebind.figure4": {"fused": (144.01, 2)},
}  # fmt: skip

PLACES = {"1": "{data}/{budget}/{method}", "2": "{data}-imagebind/{budget}/{method}",
          "3": "nyu_v2/{budget}/{method}", "4": "clotho-imagebind/{budget}/{method}",
          "5": "ave-imagebind/{budget}/{method}/{student}", "6": "vggs10k-imagebind/{budget}/{method}"}  # fmt: skip
METRICS = {"acc_AV": "fused", "acc_depth_text": "fused", "acc_convnet": "fused", "acc_imagebind": "fused",
           "seconds": "s", "GB": "GB"}  # fmt: skip


@pytest.fixture(scope="session")
def rows(shared_data):
    """The published results of the paper."""
    with (shared_data.parent / "spec" / "results_audio_visual.tsv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["paper"] == "ImageBindDC"]


def cells(name):
    return {cell.name: cell for cell in recipe(name).cells}


def metric_of(word):
    if word in METRICS:
        return METRICS[word]
    way, _, k = word.partition("_")
    return f"{'audio->text' if way == 'A2T' else 'text->audio'} {k}"


@pytest.mark.parametrize("name", SUMS)
def test_the_figures_are_all_there(name):
    found: dict[str, list[float]] = {}
    for place, cell in cells(name).items():
        for metric, figure in cell.published.items():
            if figure.mean is not None and not place.endswith(("as-released", "mixed")):
                found.setdefault(metric, []).append(figure.mean)
    assert {m: (round(math.fsum(v), 2), len(v)) for m, v in found.items()} == SUMS[name]


@pytest.mark.parametrize("table", PLACES)
def test_each_figure_is_the_published_one(rows, table):
    own = [row for row in rows if row["table"] == table]
    assert own
    for row in own:
        student = row["metric"].removeprefix("acc_")
        whole, words = row["method"] == "whole", {"data": row["data"], "method": row["method"], "student": student}
        place = PLACES[table].format(budget=row["budget"], **words)
        figure = cells(f"imagebind.table{table}")[place.replace("all/", "") if whole else place].published[
            metric_of(row["metric"])
        ]
        if row["value"] in ("-", "OOM"):
            assert figure.missing == number(row["value"]).missing, place
            continue
        times = 100 if table == "4" else 1  # printed as fractions
        assert figure.mean == pytest.approx(times * float(row["value"])), place
        assert figure.std == (float(row["std"]) if row["std"] else None), place


def test_what_is_not_offered_says_why():
    refused = {place for place, cell in cells("imagebind.table2").items() if cell.refused}
    assert refused == {f"{d}-imagebind/{n}/{m}" for d in ("vggs10k", "ave") for n in (1, 10, 20)
                       for m in ("dc", "dsa", "mtt")}  # fmt: skip
    table = cells("imagebind.table2")
    assert "memory" in table["ave-imagebind/1/mtt"].refused
    assert table["ave-imagebind/1/mtt"].published["fused"].missing == "out of memory in the paper"
    assert "gradients" in table["ave-imagebind/1/dsa"].refused
    assert table["ave-imagebind/1/dsa"].published["fused"].mean == 44.46
    (row,) = cell_rows([cell_card(recipe("imagebind.table2"), table["ave-imagebind/1/dsa"])])
    assert row[:3] == ["ave-imagebind/1/dsa", "44.46 ± 2.16", "dsa, not offered"]


def test_contradictions_are_quoted():
    one, two, five = (cells(f"imagebind.table{n}") for n in (1, 2, 5))
    fused = {n: five[f"ave-imagebind/{n}/dm/imagebind"].published["fused"].mean for n in (1, 10)}
    assert fused == {1: 60.51, 10: 69.26}
    assert [two[f"ave-imagebind/{n}/dm"].published["fused"].mean for n in (1, 10)] == [65.35, 69.49]
    for name, word in {"imagebind.table2": "60.51", "imagebind.table5": "65.35", "imagebind.table1": "54.99"}.items():
        assert any(word in note for note in recipe(name).notes)
    whole = two["vggs10k-imagebind/whole"].published["fused"].mean
    assert whole < one["vggs10k/whole"].published["fused"].mean
    assert any("60.57" in note and "68.24" in note for note in recipe("imagebind.table2").notes)


def test_published_settings():
    own = cells("imagebind.table2")["ave-imagebind/10/imagebinddc"]
    assert own.settings | {"lr": 0.2, "momentum": 0.5, "real_batch": 128, "encoder": "imagebind"} == own.settings
    released = cells("imagebind.table2")["ave-imagebind/10/imagebinddc/as-released"]
    assert released.settings | {"steps": 30, "lr": 0.1, "stepping": "per_class", "dsa_sharing": "step"} == (
        released.settings
    )
    assert released.method_settings == {"reading": "as_released", "form": "root", "frequencies": 4090}
    assert cells("imagebind.table1")["ave/10/imagebinddc/as-released"].settings["lr"] == 0.2
    depth = cells("imagebind.table3")["nyu_v2/5/dm"]
    assert (depth.settings["fixed"], depth.settings["pretrained"]) == (("text",), "none")
    clotho = cells("imagebind.table4")["clotho-imagebind/20/imagebinddc"]
    assert clotho.settings | {"optimiser": "adam", "lr": 0.01, "steps": 5000, "init": "herding"} == clotho.settings
    assert cells("imagebind.table4")["clotho-imagebind/20/dm"].settings["lr"] == 0.001
    assert cells("imagebind.figure4")["ave-imagebind/10/cross"].method_settings == {"uni": 0.0, "joint": 0.0}
    whole = cells("imagebind.figure4")["ave-imagebind/10/uni+cross+joint"]
    assert (whole.settings, whole.method_settings) == (own.settings, own.method_settings)  # one run for both


def test_sets_of_table1_that_avdds_paper_has_are_its_sets():
    ours, theirs = cells("imagebind.table1"), cells("avdd.table3")
    for method in ("random", "herding", "dc", "dsa", "mtt", "dm", "avdd"):
        place = f"ave/10/{method}"
        assert (ours[place].settings, ours[place].method_settings) == (
            theirs[place].settings,
            theirs[place].method_settings,
        )


def test_stores_for_imagebind_are_other_sets(toy):
    said = " ".join(differences(DATASETS["ave-imagebind"], toy))
    assert "published 28 and 27,726 (limbeck prepare ave --for imagebind)" in said
    assert "audio of" in said
    assert "raw decibel" not in said
    assert "toy has no depth" in " ".join(differences(DATASETS["nyu_v2"], toy))
    vectors = " ".join(differences(DATASETS["clotho-imagebind"], toy))
    assert "training clips" in vectors
    assert "published 1024" in vectors


def test_a_refused_cell_is_listed_and_not_run(toy, tmp_path, monkeypatch, capsys):
    from limbeck.cli import main
    from limbeck.recipes import run

    cell = Cell("ave/1/dc", {"fused": number("OOM")}, "dc", scoring=Scoring(), refused="it would not fit")
    monkeypatch.setattr(run, "named_recipe", lambda _: Recipe("imagebind.table2", "a table", (cell,)))
    out = tmp_path / "out"
    said = ["recipes", "run", "imagebind.table2", "--data", str(toy.path), "--scale", "small", "--out", str(out)]
    assert main(said) == 0
    shown = capsys.readouterr()
    assert "not offered: it would not fit" in shown.err
    assert "not offered" in (out / "imagebind.table2.md").read_text()
    assert not (out / "sets").exists()


def test_the_paper_stands_last():
    assert [name for name in recipes() if name.startswith("imagebind.")] == list(SUMS)
