from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.errors import ConfigError, FormatError
from limbeck.files import new_folder, read_json, sweep, write_bytes, write_json, writing_to


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


def test_the_only_copy_survives_whatever_fails(tmp_path, monkeypatch):
    target = tmp_path / "set"
    with new_folder(target) as folder:
        write_bytes(folder / "one", b"1")
    rename = Path.rename

    def fail(self, to):
        if self.suffix == ".tmp":
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space"), new_folder(target) as folder:
        write_bytes(folder / "two", b"2")
    assert [p.name for p in target.iterdir()] == ["one"]
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_sweeping_brings_back_what_a_kill_left_beside_its_place(tmp_path):
    for name in (".lost.v1.12.old", ".there.34.old", "there", ".half.56.tmp", ".cache.old", ".mine.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / ".a.json.7.tmp").write_text("{")
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".cache.old", ".mine.tmp", "lost.v1", "there"]
    assert (tmp_path / "lost.v1" / "file").read_text() == ".lost.v1.12.old"
    assert (tmp_path / "there" / "file").read_text() == "there"


def test_a_refusal_of_the_system_names_the_place(tmp_path):
    with pytest.raises(ConfigError, match="some place: cannot be written"), writing_to(Path("some place")):
        (tmp_path / "nothing" / "file").write_text("x")


@pytest.mark.parametrize("name", [".", "", "..", "../here"])
def test_the_folder_one_is_in_is_not_replaced(tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match="the folder you are in"), new_folder(Path(name)):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
