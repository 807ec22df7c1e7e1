"""Many windows of one clip: the same as one by one, decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.decode import Failure, Plan, chunks, decode_safely
from limbeck.data.media import Clip
from limbeck.data.readers.windows import PART, windows
from limbeck.data.reel import Reel, covered
from limbeck.data.rows import Media, Row
from limbeck.data.settings import PrepareSettings
from limbeck.errors import DataError
from limbeck.modalities import Audio, Image

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def movie(clip: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("reel") / "movie.mp4", seconds=8.0, fps=5)


def row(path: Path, k: float, begin: float | None) -> Row:
    media = dict.fromkeys(("image", "audio"), Media("video", path))
    return Row(f"{k}", "list", 1, media, "a", "train", (), k, k + 1, "", begin)


def plan() -> Plan:
    settings = PrepareSettings(image_size=8, n_mels=16)
    return Plan(settings, {"image": Image(shape=(3, 8, 8)), "audio": Audio(shape=(1, 16, 56))})


@pytest.mark.parametrize("begin", [0.0, 3.0])
def test_windows_are_those_of_seeking_each(movie: Path, begin: float) -> None:
    reel = Reel(movie, begin)
    for start in (begin, begin + 1, begin + 2.5, begin + 1, 6.75):  # one of them backwards
        with Clip(movie) as clip:
            assert reel.duration == clip.duration
            assert np.array_equal(reel.frame(start + 0.5), clip.frame(start + 0.5))
            whole = clip.waveform(start, start + 1, 11_000)
        assert np.abs(reel.waveform(start, start + 1, 11_000) - whole).max() < 1e-5
    reel.close()


def test_a_window_depends_on_where_its_pass_begins_alone(movie: Path) -> None:
    rows = [row(movie, k, 2.0) for k in range(2, 7)]
    together = decode_safely(rows, plan())
    for one, found in zip(rows, together, strict=True):
        (alone,) = decode_safely([one], plan())
        for name in ("image", "audio"):
            assert not isinstance(found, Failure)
            assert not isinstance(alone, Failure)
            assert np.array_equal(found[name], alone[name])


def test_frames_and_samples_are_decoded_once(movie: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, samples = [], []
    literal_frames, literal_blocks = Clip._frames, Clip._blocks

    def counted_frames(self: Clip) -> Iterator[Any]:
        for entry in literal_frames(self):
            frames.append(entry[0])
            yield entry

    def counted_blocks(self: Clip, rate: int) -> Iterator[Any]:
        for entry in literal_blocks(self, rate):
            samples.append(len(entry[1]))
            yield entry

    monkeypatch.setattr(Clip, "_frames", counted_frames)
    monkeypatch.setattr(Clip, "_blocks", counted_blocks)
    decode_safely([row(movie, k, 0.0) for k in range(8)], plan())
    assert len(frames) <= 40  # 8 s at 5 a second
    assert sum(samples) <= 8.2 * 16_000
    frames.clear()
    decode_safely([row(movie, k, None) for k in range(8)], plan())
    assert len(frames) > 40


def test_damage_is_the_damaged_windows_own(clip: Make, tmp_path: Path) -> None:
    path = clip(tmp_path / "cut.mkv", seconds=6.0, fps=5)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    found, alone = (decode_safely([row(path, k, begin) for k in range(6)], plan()) for begin in (0.0, None))
    bad = [isinstance(f, Failure) for f in found]
    assert bad == [isinstance(f, Failure) for f in alone] == sorted(bad)
    assert 2 <= sum(bad) <= 3
    assert all("cut.mkv" in str(f.file) for f in found if isinstance(f, Failure))


def test_windows_lie_end_to_end_and_share_passes_of_bounded_length() -> None:
    found = list(windows(2.0, 5.9, 1.0))
    assert found == [(2.0, 3.0, 2.0), (3.0, 4.0, 2.0), (4.0, 5.0, 2.0)]
    assert [len(list(windows(0, end, 0.1))) for end in (0.1, 0.3, 0.99, 1.0)] == [1, 3, 9, 10]
    long = list(windows(0.0, 200.0, 1.0))
    assert {begin for _, _, begin in long} == {0.0, PART, 2 * PART, 3 * PART}
    rows = [(k, row(Path("x"), first, begin)) for k, (first, _, begin) in enumerate(long)]
    alone = [(k, row(Path(f"{k}"), 0.0, None)) for k in range(200, 210)]
    sizes = [len(chunk) for chunk in chunks([*rows, *alone])]
    assert sizes == [PART, PART, PART, 200 - 3 * PART, 8, 2]


def test_what_picture_and_sound_both_cover(clip: Make, tmp_path: Path) -> None:
    assert covered(clip(tmp_path / "a.mp4", seconds=2.0)) == pytest.approx(2.0, abs=0.05)
    with pytest.raises(DataError, match=r"mute\.mp4: has no sound"):
        covered(clip(tmp_path / "mute.mp4", seconds=1.0, audio=False))
