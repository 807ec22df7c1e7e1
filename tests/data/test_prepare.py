"""From media to a store: end to end, resumed, in parallel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.data.decode import window_of
from limbeck.data.prepare import prepare
from limbeck.data.rows import Row
from limbeck.data.settings import PrepareSettings
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError, ResumeError

Make = Callable[..., Path]
SMALL = PrepareSettings(image_size=8, n_mels=16, frames=8)


@pytest.fixture(scope="module")
def sounds(wav: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 120 sounds of two classes, each with a pitch of its own."""
    root = tmp_path_factory.mktemp("sounds")
    lines = ["id,audio,label,split"]
    for k in range(120):
        wave = 0.5 * np.sin(2 * np.pi * (300 + 20 * k) * np.arange(4000) / 8000)
        wav(root / f"{k}.wav", wave)
        lines.append(f"s{k},{k}.wav,{'ab'[k % 2]},{'test' if k % 5 == 0 else 'train'}")
    (root / "manifest.csv").write_text("\n".join(lines))
    return root


def test_items_stand_by_split_and_class(sounds: Path, tmp_path: Path) -> None:
    store = prepare("manifest", sounds, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    assert (store.name, store.settings["reader"]) == ("s", "manifest")
    assert store.classes == ("a", "b")
    assert store.summary()["splits"] == {"train": 96, "test": 24}
    for split in store.splits:
        for label in (0, 1):
            rows = store.rows(split, label)
            assert np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
    spectrogram = store.stored("audio", [list(store.ids).index("s7")])[0, 0].float().mean(1)
    assert store.modalities["audio"].shape == (1, 16, 8)
    again = prepare("manifest", sounds, tmp_path / "t", settings=SMALL, workers=1, progress=False)
    assert again.data_hash == store.data_hash
    assert spectrogram.argmax() < store.stored("audio", [list(store.ids).index("s117")])[0, 0].float().mean(1).argmax()
    assert abs(float(store.batch("audio", store.rows("train")).mean())) < 1e-3


def test_workers_change_nothing(sounds: Path, tmp_path: Path) -> None:
    one = prepare("manifest", sounds, tmp_path / "one", settings=SMALL, workers=1, progress=False)
    two = prepare("manifest", sounds, tmp_path / "two", settings=SMALL, workers=2, progress=False)
    assert one.data_hash == two.data_hash
    assert list(one.ids) == list(two.ids)


SCRIPT = """
import sys, time
import limbeck.data.decode as decode
from limbeck.data.prepare import prepare
from limbeck.data.settings import PrepareSettings
if __name__ == "__main__":
    slow = decode.decode
    def slower(*arguments):
        time.sleep(0.02)
        return slow(*arguments)
    decode.decode = slower
    root, out, workers = sys.argv[1:]
    prepare("manifest", root, out, settings=PrepareSettings(image_size=8, n_mels=16, frames=8), workers=int(workers))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_preparation_goes_on(sounds: Path, tmp_path: Path, workers: int) -> None:
    whole = prepare("manifest", sounds, tmp_path / "whole", settings=SMALL, workers=1, progress=False)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(sounds), str(tmp_path / "s"), str(workers)]
    journal = tmp_path / "s.partial" / "rows.jsonl"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 10):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = journal.read_bytes().count(b"\n")
    assert not (tmp_path / "s").exists()
    if hasattr(os, "killpg"):  # the workers go when their parent is gone
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("worker processes outlive a killed preparation")
    other = PrepareSettings(image_size=8, n_mels=16, frames=9)
    with pytest.raises(ResumeError, match="frames"):
        prepare("manifest", sounds, tmp_path / "s", settings=other, workers=1, progress=False)
    store = prepare("manifest", sounds, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    assert 10 <= before < 120
    assert store.data_hash == whole.data_hash
    assert PairedStore.open(tmp_path / "s", verify="full").data_hash == whole.data_hash


def test_a_finished_store_is_opened_or_protected(sounds: Path, tmp_path: Path) -> None:
    store = prepare("manifest", sounds, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    stamp = (tmp_path / "s" / "audio.npy").stat().st_mtime_ns
    again = prepare("manifest", sounds, tmp_path / "s", settings=SMALL, progress=False)
    assert again.data_hash == store.data_hash
    assert (tmp_path / "s" / "audio.npy").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match="n_mels"):
        prepare("manifest", sounds, tmp_path / "s", settings=PrepareSettings(n_mels=17, frames=8, image_size=8))
    (tmp_path / "full").mkdir()
    with pytest.raises(ConfigError, match="no sound store"):
        prepare("manifest", sounds, tmp_path / "full", settings=SMALL)


def test_a_store_of_files_that_changed_is_not_handed_back(wav: Make, tmp_path: Path) -> None:
    wave = 0.5 * np.sin(np.arange(4000))
    for name in "ab":
        wav(tmp_path / f"{name}.wav", wave)
    (tmp_path / "manifest.csv").write_text("audio\na.wav\nb.wav\n")
    out = tmp_path / "s"
    store = prepare("manifest", tmp_path, out, settings=SMALL, workers=1, progress=False)
    assert prepare("manifest", tmp_path, out, settings=SMALL, progress=False).data_hash == store.data_hash
    wav(tmp_path / "b.wav", wave / 2)
    with pytest.raises(ConfigError, match="source files"):
        prepare("manifest", tmp_path, out, settings=SMALL, progress=False)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(ConfigError, match="source files"):
        prepare("manifest", tmp_path, out, settings=SMALL, progress=False)


def test_a_store_with_holes_is_handed_back_only_to_who_skips(wav: Make, tmp_path: Path) -> None:
    wav(tmp_path / "a.wav", 0.5 * np.sin(np.arange(4000)))
    wav(tmp_path / "b.wav", np.zeros(4000))
    (tmp_path / "manifest.csv").write_text("id,audio\none,a.wav\ntwo,b.wav\n")
    out = tmp_path / "s"
    store = prepare("manifest", tmp_path, out, settings=SMALL, on_error="skip", workers=1, progress=False)
    assert len(store.skipped) == 1
    again = prepare("manifest", tmp_path, out, settings=SMALL, on_error="skip", progress=False)
    assert again.data_hash == store.data_hash
    with pytest.raises(ConfigError, match=r"left out 1 items, the first 'two'.*silent"):
        prepare("manifest", tmp_path, out, settings=SMALL, progress=False)


def test_going_on_decodes_what_changed_or_was_skipped(wav: Make, tmp_path: Path) -> None:
    """A first attempt stops at c; a is changed and b, skipped by then, is mended before the next."""
    wave = 0.5 * np.sin(np.arange(4000))
    for name, samples in (("a", wave), ("b", 0 * wave), ("c", 0 * wave)):
        wav(tmp_path / f"{name}.wav", samples)
    (tmp_path / "manifest.csv").write_text("id,audio,label\na,a.wav,x\nb,b.wav,x\nc,c.wav,y\n")
    with pytest.raises(DataError, match="'y'"):  # the class is left without an item
        prepare("manifest", tmp_path, tmp_path / "s", settings=SMALL, on_error="skip", workers=1, progress=False)
    with pytest.raises(DataError, match=r"b\.wav"):  # what was skipped is an error to who does not skip
        prepare("manifest", tmp_path, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    for name, pitch in (("a", 0.3), ("b", 0.5), ("c", 0.7)):
        wav(tmp_path / f"{name}.wav", 0.5 * np.sin(pitch * np.arange(4000)))
    store = prepare("manifest", tmp_path, tmp_path / "s", settings=SMALL, workers=1, progress=False)
    fresh = prepare("manifest", tmp_path, tmp_path / "t", settings=SMALL, workers=1, progress=False)
    assert list(store.ids) == ["a", "b", "c"]
    assert store.data_hash == fresh.data_hash


@pytest.mark.parametrize("out", ["/dev/null/q", "x" * 300])
def test_a_place_nobody_can_write_to_is_named(sounds: Path, tmp_path: Path, out: str) -> None:
    with pytest.raises(ConfigError, match=out):
        prepare("manifest", sounds, tmp_path / out, settings=SMALL, progress=False)


def test_lines_of_progress(sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare("manifest", sounds, tmp_path / "s", settings=SMALL, workers=1)
    captured = capsys.readouterr()
    assert "120/120" in captured.err
    assert captured.out == ""


def test_splits_are_carved_class_by_class(sounds: Path, tmp_path: Path) -> None:
    def made(name: str, **changes: object) -> PairedStore:
        settings = PrepareSettings(image_size=8, n_mels=16, frames=8, **changes)  # type: ignore[arg-type]
        return prepare("manifest", sounds, tmp_path / name, settings=settings, workers=1, progress=False)

    first = made("a", validation=0.25)
    assert first.summary()["classes"]["a"] == {"train": 36, "validation": 12, "test": 12}
    assert first.summary()["classes"]["b"] == {"train": 36, "validation": 12, "test": 12}
    held = {first.ids[r] for r in first.rows("validation")}
    assert {
        made("b", validation=0.25, test=0.5).ids[r] for r in first.rows("validation")
    } == held  # test is the source's
    other = made("c", validation=0.25, split_seed=1)
    assert {other.ids[r] for r in other.rows("validation")} != held


def test_modalities_classes_and_scale_can_be_chosen(clip: Make, tmp_path: Path) -> None:
    lines = ["video,label"]
    for name in "abc":
        clip(tmp_path / f"{name}.mp4", seconds=0.4)
        lines.append(f"{name}.mp4,{name}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    settings = PrepareSettings(
        image_size=6,
        channels=1,
        window=0.4,
        mel="decibel",
        normalisation="store",
        modalities=("audio", "image"),
        classes=("c", "a"),
    )
    store = prepare("manifest", tmp_path, tmp_path / "s", settings=settings, progress=False)
    assert list(store.modalities) == ["audio", "image"]
    assert store.classes == ("c", "a")
    assert store.modalities["audio"].mean == (0.0,)
    assert store.modalities["audio"].shape == (1, 128, 23)
    assert store.modalities["image"].shape == (1, 6, 6)
    assert store.modalities["image"].mean[0] == pytest.approx((16 + 8 * 5) / 255, abs=0.02)
    for wrong, message in (({"modalities": ("imag",)}, "image"), ({"classes": ("d",)}, "no item of class 'd'")):
        with pytest.raises((ConfigError, DataError), match=message):
            prepare("manifest", tmp_path, tmp_path / "x", settings=PrepareSettings(**wrong), progress=False)
    with pytest.raises(ConfigError, match="manifest"):
        prepare("manifst", tmp_path, tmp_path / "x")


@pytest.mark.parametrize(
    ("start", "end", "duration", "known"),
    [
        (None, None, 10.0, (4.5, 5.5)),
        (None, None, 0.6, (0.0, 1.0)),
        (3.0, 4.0, 10.0, (3.0, 4.0)),
        (3.2, 3.4, 10.0, (2.8, 3.8)),
        (0.1, 0.3, 10.0, (0.0, 1.0)),
        (9.8, 10.0, 9.9, (8.9, 9.9)),
        (2.0, None, 10.0, (2.0, 3.0)),
        (None, 5.0, 10.0, (4.0, 5.0)),
    ],
)
def test_the_window_of_a_row(
    start: float | None, end: float | None, duration: float, known: tuple[float, float]
) -> None:
    row = Row("x", "list", 1, {}, start=start, end=end)
    assert window_of(row, duration, 1.0) == pytest.approx(known)


def test_an_event_beyond_the_clip_is_refused() -> None:
    with pytest.raises(DataError, match="starts at 12"):
        window_of(Row("x", "list", 1, {}, start=12.0), 10.0, 1.0)


def test_settings_that_make_no_sense() -> None:
    wrong: list[dict[str, object]] = [
        {"image_size": 0},
        {"channels": 2},
        {"window": 0.0},
        {"window": float("nan")},
        {"window": 0.01},
        {"frames": 1},
        {"frames": 50_000},
        {"mel": "db"},
        {"normalisation": "imagenet"},
        {"validation": -0.1},
        {"validation": 0.6, "test": 0.4},
        {"text_width": 100, "text_embedding": "minilm"},
        {"depth_unit": 0.0},
    ]
    for changes in wrong:
        with pytest.raises(ConfigError, match=next(iter(changes))):
            PrepareSettings(**changes)  # type: ignore[arg-type]
    assert PrepareSettings().mel_frames == 56
    for frames in (2, 7, 32, 56, 100):
        settings = PrepareSettings(frames=frames, window=0.64)
        assert settings.mel_frames == frames
        assert settings.samples > 0.64 * 11_000 - frames
