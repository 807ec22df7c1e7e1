"""A study's file: what it means, and that every mistake in it is told before anything is run."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

import limbeck
from limbeck.errors import ConfigError, DataError
from limbeck.studies.check import check_cells
from limbeck.studies.scoring import Scoring
from limbeck.studies.spec import read_study, slug

FILE = """
data: digits
per_class: [1, 10]
methods:
  - random
  - {name: avdd, label: "avdd, factor 1", settings: {factor: 1, method.icm: 10}}
  - {name: random, label: same bytes, bytes_of: "avdd, factor 1"}
seeds: "0:2"
settings: {steps: 100, channels: 8}
storage: [uint8]
evaluate: {protocol: recognition-avdd, students: convnet, seeds: "0:5", whole: true}
baseline: random
"""


def test_a_file_is_its_cells(tmp_path):
    path = tmp_path / "ladder.yaml"
    path.write_text(FILE)
    study = read_study(path)
    cells = {cell.name: cell for cell in study.cells()}
    assert len(cells) == 2 * 2 * 3 * 2
    assert list(cells)[:6] == [
        "random-1-s0", "random-1-s0-uint8", "avdd-factor-1-1-s0", "avdd-factor-1-1-s0-uint8", "same-bytes-1-s0",
        "same-bytes-1-s0-uint8",
    ]  # fmt: skip
    avdd = cells["avdd-factor-1-10-s1"]
    assert (avdd.method.name, avdd.budget, avdd.seed, avdd.storage, avdd.made_of) == (
        "avdd", ("per_class", 10), 1, "fp32", None,
    )  # fmt: skip
    assert avdd.method.settings == {"steps": 100, "channels": 8, "factor": 1}
    assert avdd.method.method_settings == {"icm": 10}
    assert cells["random-1-s0"].method.settings == {"channels": 8}  # a coreset takes no steps
    assert cells["random-1-s0-uint8"].made_of == "random-1-s0"
    assert cells["same-bytes-1-s0-uint8"].made_of == "avdd-factor-1-1-s0-uint8"
    assert study.evaluate[0].keywords["seeds"] == (0, 1, 2, 3, 4)
    assert (study.name, study.baseline) == ("ladder", "random")
    assert read_study(path).hash == study.hash


def test_a_hash_is_of_what_decides_numbers(tiny):
    same = read_study(tiny).hash
    assert read_study({**tiny, "baseline": "dm", "name": "other"}).hash == same
    for change in ({"seeds": 1}, {"evaluate": {}}, {"settings": {**tiny["settings"], "steps": 5}}):
        assert read_study({**tiny, **change}).hash != same


def test_labels_are_folders():
    assert slug("AVDD, factor 1 (ours)") == "avdd-factor-1-ours"


def test_ways_of_scoring_are_evaluates_keywords():
    keywords = inspect.signature(limbeck.evaluate).parameters
    assert {f.name for f in fields(Scoring)} == set(keywords) - {"target", "data", "progress", "save_weights"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": ["dm"]}, ["unknown setting method", "'methods'"]),
        ({"methods": ["avd"]}, ["unknown method 'avd'", "'avdd'"]),
        ({"methods": []}, ["no methods"]),
        ({"methods": [{"label": "x"}]}, ["without a name"]),
        ({"methods": [{"name": "dm", "setting": {}}]}, ["unknown key 'setting'", "'settings'"]),
        ({"methods": ["dm", {"name": "dm", "settings": {"lr": 1}}]}, ["share a folder", "label"]),
        ({"methods": ["dm", {"name": "random", "bytes_of": "md"}]}, ["no method 'md'", "'dm'"]),
        ({"methods": ["dm", {"name": "herding", "bytes_of": "dm"}]}, ["herding takes no budget in bytes"]),
        ({"methods": [{"name": "dm", "settings": {"step": 4}}]}, ["methods: dm: step", "'steps'"]),
        ({"methods": [{"name": "avdd", "settings": {"method.imc": 4}}]}, ["method.imc", "'icm'"]),
        ({"methods": [{"name": "dm", "settings": {"seed": 4}}]}, ["seed is the study's own", "`seeds`"]),
        ({"settings": {"channel": 8}}, ["settings.channel", "'channels'"]),
        ({"settings": {"steps": "many"}}, ["settings.steps is 'many'", "a whole number"]),
        ({"settings": [8]}, ["settings", "by name"]),
        ({"pairs": 10}, ["either per class or in pairs"]),
        ({"per_class": 0}, ["per_class is 0", "from 1"]),
        ({"per_class": [1, 1]}, ["each once"]),
        ({"seeds": "0-3"}, ["seeds are '0-3'"]),
        ({"seeds": -1}, ["seeds is -1"]),
        ({"storage": ["uint9"]}, ["storage is 'uint9'", "'uint8'"]),
        ({"storage": 8}, ["storage is 8"]),
        ({"baseline": "rndom"}, ["no method 'rndom'", "'random'"]),
        ({"data": None}, ["no data"]),
        ({"evaluate": {"protocl": "x"}}, ["evaluate.protocl", "'protocol'"]),
        ({"evaluate": {"protocol": "recognition"}}, ["unknown protocol 'recognition'", "recognition-avdd"]),
        ({"evaluate": {"students": ["convnt"]}}, ["unknown student 'convnt'", "'convnet'"]),
        ({"evaluate": {"seeds": "0:5", "threads": 0}}, ["evaluate.threads is 0"]),
        ({"evaluate": {"select": "best"}}, ["evaluate.select is 'best'", "'last'"]),
        ({"evaluate": [{}, {"seeds": 3}]}, ["one file", "protocol or students"]),
        ({"evaluate": "convnet"}, ["by name"]),
        ({"evaluate": {"device": "gpu"}}, ["unknown device 'gpu'"]),
        ({"evaluate": {"seeds": []}}, ["evaluate.seeds is empty"]),
        ({"evaluate": {"students": []}}, ["evaluate.students is empty"]),
        ({"evaluate": {"modalities": []}}, ["evaluate.modalities is empty"]),
        ({"evaluate": {"whole_seeds": [0, -1]}}, ["evaluate.whole_seeds is", "0 or more"]),
        ({"evaluate": {"split": "tset"}}, ["no split 'tset'", "'test'"]),
        ({"evaluate": {"fusion": "ensembel"}}, ["unknown fusion 'ensembel'", "'ensemble'"]),
        ({"methods": [{"name": "dm", "label": "a" * 200}]}, ["too long"]),
        ({"methods": [{"name": "dm", "label": "a\nb"}]}, ["no line of a table"]),
    ],
)
def test_mistakes_name_the_nearest(tiny, change, words):
    with pytest.raises(ConfigError) as caught:
        read_study({**tiny, **change})
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_a_set_is_stored_in_one_way_or_in_several(tiny):
    packed = {**tiny, "methods": [{"name": "dm", "settings": {"storage": "uint8"}}]}
    assert [cell.storage for cell in read_study({**packed, "baseline": None}).cells()] == ["uint8"] * 2
    with pytest.raises(ConfigError, match="stored in several ways and in one"):
        read_study({**packed, "storage": ["fp16"]})


def test_what_is_no_file_of_a_study_is_told(tmp_path):
    for text in ("- random", "a: [", "data: 3"):
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(ConfigError):
            read_study(tmp_path / "s.yaml")


def test_a_cell_that_cannot_be_is_known_beforehand(tiny):
    tiny["methods"] += ["mdm", {"name": "dm", "label": "large", "settings": {"factor": 4}}]
    refused, data = check_cells(read_study(tiny), 1)
    assert sorted(refused) == ["large-2-s0", "mdm-1-s0", "mdm-2-s0"]  # 4 x 4 of 20 items a class are one set, not two
    assert "no budget by class" in str(refused["mdm-1-s0"])
    assert isinstance(refused["large-2-s0"], DataError)
    assert data["name"] == "toy"


def test_students_that_would_differ_are_refused(tiny):
    tiny["methods"] += [{"name": "dm", "label": "wide", "settings": {"channels": 16}}]
    with pytest.raises(ConfigError, match=r"differ in channels \(8 of random, 16 of wide\)") as caught:
        check_cells(read_study(tiny), 1)
    assert "evaluate.channels" in caught.value.hint
    tiny["evaluate"]["channels"] = 8
    assert check_cells(read_study(tiny), 1)[0] == {}
    with pytest.raises(DataError, match="no such data set"):
        check_cells(read_study({**tiny, "data": "toyy"}), 1)


@pytest.mark.parametrize(
    ("own", "evaluate", "words"),
    [
        ({"modalities": ["image"]}, {}, "modalities (image, audio of random, image of other)"),
        ({"encoder": "identity"}, {"protocol": None}, "encoder (random of random, identity of other)"),
    ],
)
def test_scores_that_would_not_mean_the_same_are_refused(tiny, own, evaluate, words):
    tiny["evaluate"] |= evaluate
    tiny["methods"] += [{"name": "dm", "label": "other", "settings": own}]
    with pytest.raises(ConfigError) as caught:
        check_cells(read_study(tiny), 1)
    assert words in str(caught.value)


def test_real_items_in_bytes_are_planned_too(tiny):
    tiny["methods"] += [{"name": "random", "label": "whole", "bytes_of": "dm", "settings": {"factor": 2}}]
    assert sorted(check_cells(read_study(tiny), 1)[0]) == ["whole-1-s0", "whole-2-s0"]
