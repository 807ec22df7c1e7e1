"""The nearest real items: as by comparing everything with everything, in pieces, and told where they are not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.report import neighbours, write_report
from limbeck.report.neighbours import nearest_items
from limbeck.synthetic import SyntheticSet
from limbeck.synthetic.factor import decode
from tests.report.pages import make_run, read


@pytest.fixture
def moved(toy):
    """Two items of four real ones each, moved a little; the second one's class is not that of what it began as."""
    rows = torch.from_numpy(np.concatenate([toy.rows("train", 0)[:4], toy.rows("train", 1)[:4]]))
    draw = torch.Generator().manual_seed(0)
    values = {}
    for name in toy.modalities:
        real = toy.batch(name, rows)
        height, width = real.shape[-2] // 2, real.shape[-1] // 2
        small = torch.nn.functional.interpolate(real, (height, width), mode="bilinear", antialias=True)
        cells = small.view(2, 4, *small.shape[1:])
        # column by column, as factor.cells cuts
        columns = [torch.cat([cells[:, 2 * k], cells[:, 2 * k + 1]], 2) for k in range(2)]
        values[name] = torch.cat(columns, 3)
        values[name] = values[name] + 0.05 * torch.randn(values[name].shape, generator=draw)
    return SyntheticSet(
        dict(toy.modalities),
        values,
        torch.tensor([0, 2]),
        toy.classes,
        factor=2,
        provenance={
            "method": "dm",
            "data": {"name": "toy", "path": str(toy.path), "hash": toy.data_hash},
            "real_items": [[toy.ids[int(row)] for row in rows[k : k + 4]] for k in (0, 4)],
            "steps_done": 3,
        },
    )


def by_hand(synthetic, store):
    """Names and distances, everything against everything, in double precision."""
    rows = store.rows("train")
    square = torch.zeros(len(synthetic) * 4, len(rows), dtype=torch.float64)
    for name in synthetic.modalities:
        own = decode(synthetic.values[name].double(), 2).transpose(0, 1).flatten(0, 1).flatten(1)
        real = store.batch(name, rows).double().flatten(1)
        square += (own[:, None] - real[None]).square().mean(2) / len(synthetic.modalities)
    least, place = square.min(1)
    return [store.ids[int(rows[k])] for k in place.tolist()], least.sqrt().tolist()


def test_they_are_those_whose_values_differ_least(toy, moved):
    found = nearest_items(moved, [0, 1])
    names, distances = by_hand(moved, toy)
    flat = [near for item in found.found for near in item]
    assert [near.name for near in flat] == names
    assert [near.distance for near in flat] == pytest.approx(distances, abs=1e-4)
    assert not found.note
    rows = {toy.ids[int(row)]: int(row) for row in toy.rows("train")}
    for name, values in found.values.items():
        assert torch.equal(values, toy.batch(name, [rows[n] for n in names]))
    assert sum(near.began for near in flat) >= 6
    assert {near.label for near in flat[4:]} == {toy.classes[1]}


def test_the_real_set_is_read_in_pieces(toy, moved, monkeypatch):
    whole = nearest_items(moved, [1, 0])
    asked = []
    stored = type(toy).stored
    monkeypatch.setattr(type(toy), "stored", lambda s, n, rows: asked.append(len(rows)) or stored(s, n, rows))
    width = sum(int(np.prod(m.shape)) for m in toy.modalities.values())
    monkeypatch.setattr(neighbours, "CHUNK", 7 * width)
    parts = nearest_items(moved, [1, 0])
    assert [[n.name for n in item] for item in parts.found] == [[n.name for n in item] for item in whole.found]
    assert max(asked[: -len(toy.modalities)]) == 7


def test_a_large_real_set_is_sampled_and_the_page_says_so(moved, toy, monkeypatch):
    width = sum(int(np.prod(m.shape)) for m in toy.modalities.values())
    monkeypatch.setattr(neighbours, "VALUES", len(toy.rows("train")) * width / 3)
    found = nearest_items(moved, [0])
    seen = {toy.ids[int(row)] for row in toy.rows("train")[::3]}
    assert {near.name for near in found.found[0]} <= seen
    assert found.note == "One in 3 of the 80 real items was compared with these."


@pytest.mark.parametrize(
    ("data", "words"),
    [({}, "does not say what it was made from"), ({"path": "/nowhere"}, "is not here"), (None, "has changed")],
)
def test_where_they_cannot_be_told_the_page_says_why(moved, data, words, tmp_path):
    told = {**moved.provenance["data"], "hash": "0" * 64} if data is None else data
    moved.provenance["data"] = told
    found = nearest_items(moved, [0, 1])
    assert (found.found, found.values) == ([], {})
    assert words in found.note
    page = read(write_report(make_run(tmp_path / "run", moved), projection="none"))
    assert words in page.text
    assert "nearest real item" not in page.text


def test_other_shapes_are_not_compared(moved):
    image = dataclasses.replace(moved.modalities["image"], shape=(3, 8, 8))
    values = {"image": moved.values["image"][..., :8, :8].contiguous()}
    small = SyntheticSet({"image": image}, values, moved.labels, moved.classes, provenance=moved.provenance)
    assert "the real set's image is another" in nearest_items(small, [0]).note


def test_chosen_items_have_no_neighbours(moved):
    moved.provenance["steps_done"] = 0
    assert nearest_items(moved, [0]) == neighbours.Neighbours()


def test_a_page_shows_them_beside_what_an_item_began_as(moved, tmp_path):
    page = read(write_report(make_run(tmp_path / "run", moved), projection="none"))
    assert len(page.sources("img")) == 3 * 2 * 2 * 4  # sets, items, modalities, cells
    assert len(page.sources("audio")) == 3 * 2 * 4
    notes = [value for tag, name, value in page.attributes if tag == "div" and name == "data-note"]
    assert len(notes) == 2 * 2 * 4
    assert "the item this one began as" in notes[0]
    assert notes[-1].split(", ")[1] == f"of class {moved.classes[1]}"
    others = [v for t, n, v in page.attributes if t == "div" and n == "class" and v.endswith(" other")]
    assert len(others) == 2 * 4
    assert f"nearest to real items of {moved.classes[1]}" in " ".join(page.text.split())
