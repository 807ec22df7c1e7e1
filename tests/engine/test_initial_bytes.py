"""Real items under a budget in bytes: as many as fit, class by class, and what the set and its scores say of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

import limbeck
from limbeck.data.shipped import Shipped, words_bytes
from limbeck.data.toy import make_toy
from limbeck.engine.initial_bytes import rows_within
from limbeck.engine.plan import plan
from limbeck.errors import ConfigError, DataError, FormatError
from limbeck.files import read_json
from limbeck.synthetic import Budget
from limbeck.synthetic.pack import pack


class Known:
    """A shipped form with weights that are given."""

    counted: ClassVar = {"image": "made up"}

    def __init__(self, *weights):
        self.weights = weights

    def item(self, row):
        return self.weights[row]


def rows(*numbers):
    return np.array(numbers, dtype=np.int64)


def test_classes_take_turns_until_one_does_not_fit():
    taken, told = rows_within([rows(0, 1, 2), rows(3, 4, 5)], Known(5, 5, 5, 7, 7, 7), 24, seed=0)
    assert [each.tolist() for each in taken] == [[0, 1], [3, 4]]
    assert told == {"counted": Known.counted, "total": 24, "budget": 24}


def test_the_rest_goes_to_classes_that_are_drawn():
    orders = [rows(2 * k, 2 * k + 1) for k in range(6)]
    by_seed = [rows_within(orders, Known(*[10] * 12), 95, seed=seed) for seed in range(8)]
    for taken, told in by_seed:
        assert sorted(map(len, taken)) == [1, 1, 1, 2, 2, 2]
        assert told["total"] == 90
    assert len({tuple(map(len, taken)) for taken, _ in by_seed}) > 1


def test_who_is_too_heavy_in_the_last_turn_leaves_it_to_others():
    taken, told = rows_within([rows(0, 1), rows(2, 3)], Known(1, 50, 1, 3), 6, seed=0)
    assert [each.tolist() for each in taken] == [[0], [2, 3]]
    assert told["total"] == 5


def test_a_class_that_is_used_up_stops_nobody():
    taken, _ = rows_within([rows(0), rows(1, 2, 3)], Known(1, 1, 1, 1), 100, seed=0)
    assert [each.tolist() for each in taken] == [[0], [1, 2, 3]]


def test_every_class_needs_an_item():
    with pytest.raises(ConfigError, match="11 bytes are too few: the first of each class take 12") as caught:
        rows_within([rows(0), rows(1)], Known(5, 7), 11, seed=0)
    assert caught.value.where == "--bytes"


def draw(toy, out, small, **settings):
    return limbeck.distill("random", toy, out=out, **{**small, **settings})


def test_items_are_those_of_the_same_seed_and_fit(toy, small, tmp_path):
    found = draw(toy, tmp_path / "r", small, bytes=12_000)
    shipped = Shipped(toy, toy.modalities)
    ids = [item for (item,) in found.provenance["real_items"]]
    names = list(toy.ids)
    total = sum(shipped.item(names.index(name)) for name in ids)
    told = found.provenance["bytes"]
    assert told == {"counted": shipped.counted, "total": total, "budget": 12_000}
    assert found.counted_bytes == total <= 12_000 < total + 2 * 1032
    counts = torch.bincount(found.labels)
    assert counts.max() - counts.min() <= 1
    assert (found.labels.diff() >= 0).all()
    by_class = draw(toy, tmp_path / "c", small, per_class=int(counts.min()))
    assert {i for (i,) in by_class.provenance["real_items"]} <= set(ids)
    assert read_json(tmp_path / "r" / "config.json")["bytes"] == 12_000
    assert torch.equal(limbeck.load(tmp_path / "r").values["image"], found.values["image"])


def test_the_bytes_of_a_run_are_those_it_is_kept_in(toy, small, tmp_path):
    whole = draw(toy, tmp_path / "whole", small, per_class=3)
    pack(tmp_path / "whole", tmp_path / "8", storage="uint8")
    of_whole = draw(toy, tmp_path / "a", small, bytes=str(tmp_path / "whole"))
    of_bytes = draw(toy, tmp_path / "b", small, bytes=str(tmp_path / "8"))
    assert of_whole.provenance["bytes"]["budget"] == whole.bytes == 3 * 4 * 4096
    assert of_bytes.provenance["bytes"]["budget"] == limbeck.load(tmp_path / "8").bytes
    assert len(of_whole) > 2 * len(of_bytes)
    again = draw(toy, tmp_path / "c", small, bytes=str(tmp_path / "b"))  # as they ship, not as their numbers are kept
    assert again.provenance["bytes"]["budget"] == of_bytes.counted_bytes < of_bytes.bytes
    same = limbeck.distill("random", toy, out=tmp_path / "a", resume=True, bytes=str(tmp_path / "whole"))
    assert len(same) == len(of_whole)


def test_pairs_are_a_prefix_and_a_picture_ships_once(small, tmp_path):
    store = make_toy(tmp_path / "store", modalities=("image", "text"))
    store.classes = ()
    store.labels = np.full(len(store), -1, dtype=np.int64)
    store._index(np.repeat([0, 1, 2], [80, 20, 20]))
    settings = {**small, "captions": "hashing", "tower": "convnet"}
    found = draw(store, tmp_path / "r", settings, bytes=5_000)
    shipped = Shipped(store, {"image": store.modalities["image"]})
    names = list(store.ids)
    chosen = [names.index(name) for (name,) in found.provenance["real_items"]]
    words = sum(words_bytes(cell) for (cell,) in found.captions)
    assert found.labels is None
    assert found.counted_bytes == words + sum(shipped.item(row) for row in set(chosen)) <= 5_000
    more = draw(store, tmp_path / "m", settings, bytes=9_000)
    assert more.provenance["real_items"][: len(found)] == found.provenance["real_items"]
    with pytest.raises(ConfigError, match="too few: the first pair takes"):
        draw(store, tmp_path / "few", settings, bytes=10)
    assert not (tmp_path / "few" / "config.json").exists()


@pytest.mark.parametrize(
    ("settings", "method", "message"),
    [
        ({"bytes": 0}, "random", "0 bytes is empty"),
        ({"bytes": 5_000, "per_class": 1}, "random", "either per class or in pairs"),
        ({"bytes": 5_000, "factor": 2}, "random", "ship whole"),
        ({"bytes": 5_000, "storage": "uint8"}, "random", "as they ship"),
        ({"bytes": 5_000}, "avdd", "no budget by bytes"),
        ({"bytes": 5_000}, "herding", "no budget by bytes"),
        ({"bytes": "10k"}, "random", "neither a number nor a run"),
        ({"bytes": 5e3}, "random", "bytes is 5000.0"),
        ({"storage": "int8"}, "random", "storage is 'int8'"),
    ],
)
def test_mistakes(toy, small, settings, method, message):
    with pytest.raises(ConfigError, match=message):
        plan(method, toy, settings={**small, **settings})


def test_a_folder_without_a_set_has_no_bytes(toy, small, tmp_path):
    with pytest.raises(FormatError, match="not a synthetic set"):
        plan("random", toy, settings={**small, "bytes": str(tmp_path)})


def test_it_is_not_packed(toy, small, tmp_path):
    draw(toy, tmp_path / "r", small, bytes=8_000)
    with pytest.raises(ConfigError, match="counted in the form"):
        pack(tmp_path / "r", tmp_path / "p", storage="uint8")


def test_scores_say_what_was_counted(toy, small, tmp_path):
    draw(toy, tmp_path / "r", small, bytes=8_000)
    result = limbeck.evaluate(tmp_path / "r", data=toy, seeds=[0], threads=1, kernels="literal")
    found = limbeck.load(tmp_path / "r")
    assert result["trained_on"]["bytes"] == found.counted_bytes
    assert result["trained_on"]["counted"] == found.provenance["bytes"]["counted"]
    told = limbeck.compare([tmp_path / "r"])
    (row,) = told["rows"]
    assert (row["label"], row["budget"]) == ("random · 8000 bytes", {"kind": "bytes", "size": 8000})
    assert row["bytes"] == found.counted_bytes
    assert any("form their media ship in" in note and "no waveform" in note for note in told["notes"])


def test_whole_numbers_are_as_they_were(toy, small):
    """A run's hash is what its checkpoint belongs to: it is the same with and without the setting's default."""
    settings = {**small, "per_class": 1, "steps": 2}
    plain, told, other = (
        plan("dm", toy, settings={**settings, **more}) for more in ({}, {"storage": "fp32"}, {"storage": "uint8"})
    )
    assert plain.hash == told.hash != other.hash


def test_a_class_without_items_is_refused():
    store = SimpleNamespace(classes=("a", "b"), path="store", rows=lambda _, label: [3] * (1 - label))
    with pytest.raises(DataError, match="'b' has 0 training items"):
        Budget(bytes=100).check(store, 1)
