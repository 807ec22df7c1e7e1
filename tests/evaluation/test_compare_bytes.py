"""Bytes as an axis: sets kept in fewer bytes have rows of their own, real items of equal bytes stand beside them."""

from __future__ import annotations

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
