from __future__ import annotations

import pytest

from limbeck.errors import FormatError
from limbeck.files import new_folder, read_json, write_bytes, write_json


def test_a_failed_write_leaves_what_was_there(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"x": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(target, {"x": float("nan")})
    assert read_json(target) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "set"
    with new_folder(target) as folder:
        write_bytes(folder / "one", b"1")
        assert not target.exists()

    def fill_and_fail():
        with new_folder(target) as folder:
            write_bytes(folder / "two", b"2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill_and_fail()
    assert [p.name for p in target.iterdir()] == ["one"]
    with new_folder(target) as folder:
        write_bytes(folder / "three", b"3")
    assert [p.name for p in target.iterdir()] == ["three"]
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000])
def test_what_is_no_json_object_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.json"):
        read_json(tmp_path / "a.json")
