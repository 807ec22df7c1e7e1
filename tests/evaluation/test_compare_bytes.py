"""Bytes as an axis: sets kept in fewer bytes have rows of their own, real items of equal bytes stand beside them."""

from __future__ import annotations

import json

import pytest

from limbeck.errors import ConfigError
from limbeck.evaluation.compare import compare
from tests.evaluation.made_results import run

COUNTED = {"image": "JPEG", "text": "UTF-8 words"}


def real(folder, scores, seed=0, size=5000, **other):
    about = {"method": "random", "items": 9, "bytes": size - 10, "run_hash": f"b{seed}{size}", "counted": COUNTED}
    config = {"bytes": size, "pairs": None}
    path = run(folder, scores, seed=seed, config=config, trained_on=about, **other)
    told = path / "synthetic" / "synthetic.json"
    told.write_text(told.read_text().replace(f"random{seed}", f"b{seed}{size}"))
    return path


def test_storage_is_a_row_of_its_own_and_missing_is_whole(tmp_path):
    paths = [
        run(tmp_path / "old", {0: 10.0}, "mdm"),
        run(tmp_path / "new", {0: 12.0}, "mdm", seed=1, config={"storage": "fp32"}),
        run(tmp_path / "8", {0: 9.0}, "mdm", seed=2, config={"storage": "uint8"}),
    ]
    rows = compare(paths)["rows"]
    assert [(row["label"], row["n"]["sets"]) for row in rows] == [("mdm · storage fp32", 2), ("mdm · storage uint8", 1)]
    assert compare(paths[:2])["rows"][0]["label"] == "mdm"


def test_real_items_of_equal_bytes_stand_beside_any_budget(tmp_path):
    paths = [
        *(run(tmp_path / f"m{s}", {0: 20.0 + s, 1: 22.0}, "mdm", seed=s) for s in range(2)),
        *(real(tmp_path / f"r{s}", {0: 10.0, 1: 12.0 + s}, seed=s) for s in range(2)),
        *(real(tmp_path / f"l{s}", {0: 30.0, 1: 30.0}, seed=s, size=7000) for s in range(2)),
    ]
    found = compare(paths)
    assert [(row["label"], row["budget"]["kind"], row["bytes"]) for row in found["rows"]] == [
        ("random · 5000 bytes", "bytes", 4990),
        ("random · 7000 bytes", "bytes", 6990),
        ("mdm", "pairs", 80_000),
    ]
    assert [note for note in found["notes"] if "ship" in note] == [
        "Budgets in bytes count real items in the form their media ship in (image: JPEG; text: UTF-8 words)."
    ]
    rows = {row["label"]: row for row in compare(paths, baseline="random · 5000 bytes")["rows"]}
    assert rows["mdm"]["scores"]["Mean"]["difference"]["mean"] == pytest.approx((10 + 10) / 2)
    assert rows["random · 7000 bytes"]["scores"]["Mean"]["difference"]["mean"] == pytest.approx((19 + 18.5) / 2)
    assert "difference" not in rows["random · 5000 bytes"]["scores"]["Mean"]


def test_a_method_s_name_means_its_row_at_the_same_budget(tmp_path):
    paths = [run(tmp_path / "m", {0: 20.0}, "mdm"), real(tmp_path / "b", {0: 10.0}), run(tmp_path / "r", {0: 15.0})]
    found = compare(paths, baseline="random")
    rows = {row["label"]: row for row in found["rows"]}
    assert rows["mdm"]["scores"]["Mean"]["difference"]["mean"] == 5
    only = compare(paths[:2], baseline="random")
    assert any("no row at this budget" in note for note in only["notes"])
    with pytest.raises(ConfigError) as caught:
        compare(paths, baseline="random · 500 bytes")
    assert "random · 5000 bytes" in caught.value.hint


def test_real_items_of_equal_bytes_are_a_set_once_in_a_study(tmp_path):
    """Twice as many items in half the bytes each weigh as much: a study draws the same items for both."""
    runs = [run(tmp_path / "m", {0: 20.0}, "mdm", trained_on={"method": "mdm", "bytes": 5000, "run_hash": "mdm0"})]
    runs += [real(tmp_path / name, {0: 10.0}) for name in ("1-fp32", "2-fp16")]
    with pytest.raises(ConfigError, match="the same set"):
        compare(runs)
    labels = dict(zip(runs, ("mdm", "same bytes", "same bytes"), strict=True))
    rows = {row["label"]: row for row in compare(runs, labels=labels, baseline="same bytes")["rows"]}
    assert rows["same bytes · 5000 bytes"]["n"] == {"sets": 1, "students": 1}
    # their method means the row in as many bytes
    assert rows["mdm"]["scores"]["Mean"]["difference"]["mean"] == 10


def test_all_real_items_are_one_set_in_whatever_order(tmp_path):
    paths = [run(tmp_path / str(seed), {0: 10.0 + seed}, seed=seed) for seed in range(3)]
    orders = ([["a"], ["b"]], [["b"], ["a"]], [["b"], ["c"]])
    for path, order in zip(paths, orders, strict=True):
        manifest = json.loads((path / "synthetic" / "synthetic.json").read_text())
        manifest["provenance"]["real_items"] = order
        (path / "synthetic" / "synthetic.json").write_text(json.dumps(manifest))
    assert [row["n"]["sets"] for row in compare(paths)["rows"]] == [2]


def test_what_was_counted_may_be_anything(tmp_path):
    about = {"method": "random", "items": 9, "bytes": 4990, "run_hash": "random0", "counted": "pixels"}
    path = run(tmp_path / "r", {0: 1.0}, config={"bytes": 5000, "pairs": None}, trained_on=about)
    assert compare([path])["rows"][0]["bytes"] == 4990
