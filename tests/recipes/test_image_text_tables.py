"""The image-text tables hold what MDM prints, and agree with themselves."""

from __future__ import annotations

import csv
import math

import pytest

from limbeck.engine.settings import RunSettings
from limbeck.methods import methods
from limbeck.recipes import recipe
from limbeck.recipes.datasets import DATASETS, differences
from limbeck.synthetic import Budget

METRICS = ("IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10")
METHODS = {"mtt_vl": "MTT-VL", "tesla_wbce": "TESLA_wBCE", "lors": "LoRS", "mdm": "MDM"}
MISPRINT = "flickr30k/500/lors"

# taken from the tables by themselves, and not from the recipes: (sum of the figures, how many there are)
SUMS = {
    "mdm.table1": {"Mean": (1021.7, 75), "IR@1": (214.8, 39), "TR@10": (1327.5, 39)},
    "mdm.table2": {"Mean": (1385.2, 108)},
    "mdm.table3": {"s/step": (25.82, 6), "min": (489.11, 8)},
    "mdm.ablation_init": {"Mean": (126.8, 7)},
    "mdm.ablation_model": {"Mean": (339.8, 18)},
    "mdm.ablation_loss": {"Mean": (214.17, 10)},
}


@pytest.fixture(scope="session")
def published(shared_data):
    """The rows of a file of published results."""

    def read(name):
        with (shared_data.parent / "spec" / name).open(encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    return read


def cells(name):
    return {cell.name: cell for cell in recipe(name).cells}


def means(name, place):
    return {metric: figure.mean for metric, figure in cells(name)[place].published.items()}


@pytest.mark.parametrize("name", SUMS)
def test_the_figures_add_up(name):
    found: dict[str, list[float]] = {}
    for place, cell in cells(name).items():
        for metric, figure in cell.published.items() if not place.endswith("as-published") else ():
            found.setdefault(metric, []).append(figure.mean)
    sums = {m: (round(math.fsum(v), 2), len(v)) for m, v in found.items() if m in SUMS[name]}
    assert sums == SUMS[name]


def test_table1_is_the_published_one(published):
    rows = published("results_image_text.tsv")
    assert len(rows) == 36
    for row in rows:
        method = next(name for name, title in METHODS.items() if title == row["method"])
        place = f"{row['dataset']}/{row['pairs']}/{method}"
        assert means("mdm.table1", place) == {m: float(row[m]) for m in (*METRICS, "Mean")}, place
        if method != "mdm":
            assert cells("mdm.table1")[f"{place}/as-published"].published == cells("mdm.table1")[place].published


def test_table2_is_the_published_one(published):
    rows = published("results_image_text_cross_architecture.tsv")
    assert len(rows) == 18
    towers = {"a": "nfnet", "b": "nf_resnet50", "c": "nf_regnet"}
    for row in rows:
        unseen = []
        for text in ("BERT", "DistilBERT"):
            for letter, tower in towers.items():
                place = f"{row['dataset']}/{row['pairs']}/{row['method'].lower()}/{text.lower()}+{tower}"
                assert means("mdm.table2", place) == {"Mean": float(row[f"{text}+{letter}"])}, place
                if (text, letter) != ("BERT", "a"):
                    unseen.append(float(row[f"{text}+{letter}"]))
        assert math.fsum(unseen) / 5 == pytest.approx(float(row["Mean_of_5_unseen"]), abs=0.1001)


def test_every_mean_but_the_misprint_is_of_its_six():
    for place, cell in cells("mdm.table1").items():
        if "IR@1" not in cell.published:
            continue
        found = means("mdm.table1", place)
        off = abs(math.fsum(found[m] for m in METRICS) / 6 - found["Mean"])
        if place.startswith(MISPRINT):
            assert "39.8" in cell.note
            assert off > 1
            assert (math.fsum(found[m] for m in METRICS) + 10) / 6 == pytest.approx(found["Mean"], abs=0.1)
        else:
            assert off < 0.1, place


def test_the_source_of_table2_is_table1():
    for place, cell in cells("mdm.table2").items():
        row, _, student = place.rpartition("/")
        if student == "bert+nfnet":
            assert cell.published["Mean"] == cells("mdm.table1")[row].published["Mean"]


def test_minutes_of_table3_are_seconds_times_steps():
    for place, cell in cells("mdm.table3").items():
        found = means("mdm.table3", place)
        if "s/step" in found:
            assert found["s/step"] * cell.best_step / 60 == pytest.approx(found["min"], abs=0.05), place


def test_published_settings():
    rates = {
        (d, n): cells("mdm.table1")[f"{d}/{n}/mdm"].settings["lr"]
        for d in ("flickr8k", "flickr30k", "coco")
        for n in (100, 200, 500)
    }
    assert list(rates.values()) == [100, 100, 1000, 100, 1000, 1000, 1000, 1000, 5000]
    mdm = cells("mdm.table1")["coco/500/mdm"]
    assert mdm.settings | {"real_batch": 64, "momentum": 0.5, "clip": 1.0, "init": "kmeans"} == mdm.settings
    assert (mdm.best_step, mdm.settings["steps"], mdm.settings["patience"]) == (950, 3000, 20)
    lors = cells("mdm.table1")["flickr30k/100/lors"]
    own = {"rank": 10, "alpha": 3.0, "similarity_rate": 10.0, "inner_batch": 20, "max_start_epoch": 2}
    assert (lors.settings["lr"], lors.method_settings) == (100, own)
    coco = cells("mdm.table1")["coco/500/lors"]
    assert coco.method_settings | {"temperature": 0.1, "merged_normaliser": True, "rank": 40} == coco.method_settings
    tesla = cells("mdm.table1")["flickr8k/200/tesla_wbce"]
    assert (tesla.settings["lr"], tesla.method_settings) == (1000, {"inner_batch": 20, "max_start_epoch": 2})
    assert cells("mdm.table1")["coco/200/lors"].settings["steps"] == 2000
    assert cells("mdm.table1")["flickr30k/100/mtt_vl"].settings["lr"] == 1000


def test_lors_scripts_are_those_the_method_knows():
    """Its defaults by pairs are Flickr30k's: said in two rooms, once each."""
    for pairs in (100, 200, 500):
        for name in ("lors", "tesla_wbce"):
            cell, method = cells("mdm.table1")[f"flickr30k/{pairs}/{name}"], methods()[name]
            settled = method().for_budget(Budget(pairs=pairs))
            assert {key: getattr(settled, key) for key in cell.method_settings} == cell.method_settings
            assert method.published(Budget(pairs=pairs))["lr"] == cell.settings["lr"]


def test_methods_begin_with_what_is_published():
    """What a recipe writes down of the loop is what the method runs by itself."""
    for name in ("mtt_vl", "tesla_wbce", "lors", "mdm"):
        cell, method = cells("mdm.table1")[f"flickr8k/100/{name}"], methods()[name]
        usual = {**method.published(Budget(pairs=100)), **method.defaults}
        assert {k: cell.settings[k] for k in usual} == usual
        assert set(cell.settings) <= set(RunSettings.__dataclass_fields__)


def test_one_protocol_for_all_and_a_second_as_published():
    for cell in recipe("mdm.table1").cells:
        scoring = cell.scoring
        second = {"lors": "retrieval-lors", "tesla_wbce": "retrieval-lors", "mtt_vl": "retrieval-vld"}
        wanted = second[cell.method] if cell.name.endswith("as-published") else "retrieval-mdm"
        assert (scoring.protocol, scoring.as_published) == (wanted, wanted != "retrieval-mdm")
        assert (scoring.student, scoring.captions) == ("nfnet", "bert")


def test_a_set_without_captions_is_no_flickr8k(toy):
    said = " ".join(differences(DATASETS["flickr8k"], toy))
    assert "80 training pictures, published 6,000 (limbeck prepare flickr8k)" in said
    assert "classes" not in said
    assert "audio" not in said
