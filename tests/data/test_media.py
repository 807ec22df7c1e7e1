"""Clips: the right frame, the right stretch of sound, and a named error for every broken file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.data.media import Clip
from limbeck.errors import DataError
from limbeck.modalities.melspec import log_mel, mel_filters

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def movie(clip: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("media") / "movie.mp4", seconds=1.0)


def read_frame(path: Path, at: float | None = None) -> np.ndarray:
    with Clip(path) as clip:
        return clip.frame(at)


def read_waveform(path: Path, start: float, end: float, rate: int) -> np.ndarray:
    with Clip(path) as clip:
        return clip.waveform(start, end, rate)


def number(picture: np.ndarray) -> int:
    """Which frame of a test clip a picture is."""
    return round((float(picture.mean()) - 16) / 8)


def sweep(seconds: float, rate: int) -> np.ndarray:
    """A sound no two moments of which are the same."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * (200 * t + 150 * t**2))


@pytest.mark.parametrize(
    ("at", "frame"), [(0.0, 0), (0.039, 0), (0.04, 1), (0.5, 12), (0.52, 13), (0.96, 24), (1.0, 24)]
)
def test_the_frame_on_screen_at_a_moment(movie: Path, at: float, frame: int) -> None:
    assert number(read_frame(movie, at)) == frame


def test_the_centre_frame_by_default_and_any_order_of_reading(movie: Path) -> None:
    assert number(read_frame(movie)) == 12
    with Clip(movie) as clip:
        assert clip.duration == pytest.approx(1.0, abs=0.05)
        order = [20, 3, 3, 24, 0, 11]
        assert [number(clip.frame(k * 0.04 + 0.01)) for k in order] == order
        assert clip.frame(0).shape == (48, 64, 3)


def test_a_sine_lands_in_its_mel_band(movie: Path) -> None:
    import torch

    wave = read_waveform(movie, 0.2, 0.8, 11_000)
    assert wave.shape == (6600,)
    assert wave.dtype == np.float32
    spectrogram = log_mel(torch.from_numpy(wave), sample_rate=11_000, n_fft=400, hop=200, n_mels=128)
    band = int(spectrogram[:, 5:-5].mean(1).argmax())
    response = mel_filters(11_000, 400, 128) @ (torch.linspace(0, 5500, 201) - 1000).abs().lt(14).float()
    assert response[band] > 0
    assert float(spectrogram[band].mean()) > 20 + float(spectrogram[100].mean())


@pytest.mark.parametrize("rate", [8000, 11_000, 16_000, 44_100])
@pytest.mark.parametrize("start", [0.0, 0.013, 1.0, 2.3])
def test_a_window_is_the_resampled_sound_of_that_time(wav: Make, tmp_path: Path, start: float, rate: int) -> None:
    path = wav(tmp_path / "sweep.wav", sweep(4.0, 16_000), rate=16_000)
    found = read_waveform(path, start, start + 1, rate)
    known = sweep(4.0, rate)[round(start * rate) :][:rate]
    middle = slice(rate // 50, -rate // 50)
    assert np.abs(found[middle] - known[middle]).max() < 0.02


def test_compressed_sound_is_right_from_its_first_sample(clip: Make, tmp_path: Path) -> None:
    # AAC frames overlap: started at time 0 without the packet before it, the first 64 ms fade in
    path = clip(tmp_path / "tone.mp4", hertz=500)
    with Clip(path) as opened:
        opened.frame(0.5)  # moves the position in the file
        found = opened.waveform(0, 1, 16_000)
    known = 0.5 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
    level = [float(np.sqrt(np.mean(found[k : k + 256] ** 2))) for k in range(256, 2048, 256)]
    assert min(level) > 0.32
    assert np.abs(found[1024:-1024] - known[1024:-1024]).max() < 0.05


def test_seeking_gives_what_reading_from_the_start_gives(clip: Make, tmp_path: Path) -> None:
    path = clip(tmp_path / "long.mp4", seconds=5.0, fps=5)
    whole = read_waveform(path, 0, 5, 16_000)
    for start in (0.3, 1.7, 3.999):
        part = read_waveform(path, start, start + 1, 16_000)
        first = round(start * 16_000)
        assert np.abs(part - whole[first : first + 16_000]).max() < 1e-6


def test_channels_are_averaged(wav: Make, tmp_path: Path) -> None:
    one, two = sweep(0.5, 8000), np.full(4000, 0.25)
    stereo = read_waveform(wav(tmp_path / "s.wav", np.stack([one, two], 1)), 0, 0.5, 8000)
    assert np.abs(stereo - (one + two) / 2).max() < 1e-3
    five = read_waveform(wav(tmp_path / "f.wav", np.stack([one, two, two, two, two], 1)), 0, 0.5, 8000)
    assert np.abs(five - (one + 4 * two) / 5).max() < 1e-3


def test_short_sound_is_padded_with_zeros(wav: Make, tmp_path: Path) -> None:
    path = wav(tmp_path / "s.wav", np.full(4000, 0.5))
    found = read_waveform(path, 0, 1, 8000)
    assert found.shape == (8000,)
    assert np.abs(found[:4000] - 0.5).max() < 1e-3
    assert (found[4000:] == 0).all()


def test_missing_streams_are_named(clip: Make, tmp_path: Path) -> None:
    mute = clip(tmp_path / "mute.mp4", audio=False, seconds=0.4)
    blind = clip(tmp_path / "blind.mp4", video=False, seconds=0.4)
    with pytest.raises(DataError, match=r"mute\.mp4: has no sound"):
        read_waveform(mute, 0, 0.4, 8000)
    with pytest.raises(DataError, match=r"blind\.mp4: has no picture"):
        read_frame(blind)


def test_broken_files_are_named(movie: Path, tmp_path: Path) -> None:
    good = movie.read_bytes()
    cases = {
        "empty.mp4": b"",
        "noise.mp4": bytes(range(256)) * 20,
        "cut.mp4": good[: len(good) // 2],
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + str(movie).encode() + b"\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile '{movie}'\n".encode(),
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        for read in (lambda p: read_frame(p), lambda p: read_waveform(p, 0, 1, 8000)):
            with pytest.raises(DataError, match=name):
                read(path)
    with pytest.raises(DataError, match="no such file"):
        read_frame(tmp_path / "missing.mp4")
    with pytest.raises(DataError, match="no such file"):
        read_frame(tmp_path)


def wav_header(
    data: bytes, *, channels: int = 1, rate: int = 8000, kind: int = 1, bits: int = 16, claim: int = 0
) -> bytes:
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * frame & 0xFFFFFFFF, frame & 0xFFFF, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", claim or len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_broken_wav_files_are_named(tmp_path: Path) -> None:
    sound = (sweep(0.5, 8000) * 32767).astype("<i2").tobytes()
    floats = sweep(0.5, 8000).astype("<f4")
    floats[1000] = np.nan
    cases = {
        "truncated": (wav_header(sound, claim=len(sound) + 500), "500 bytes"),
        "header only": (wav_header(sound)[:30], "truncated"),
        "no samples": (wav_header(b""), "0 samples"),
        "no channels": (wav_header(sound, channels=0), "0 channels"),
        "65535 channels": (wav_header(sound, channels=65535), "65535 channels"),
        "slow": (wav_header(sound, rate=1), "1 Hz"),
        "fast": (wav_header(sound, rate=4_000_000_000), "4000000000 Hz"),
        "nan": (wav_header(floats.tobytes(), kind=3, bits=32), "not finite"),
        "text": (b"this is no sound at all", "is not a WAV"),
    }
    for name, (data, message) in cases.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(data)
        with pytest.raises(DataError, match=message) as caught:
            read_waveform(path, 0, 0.5, 8000)
        assert f"{name}.wav" in str(caught.value)
    (tmp_path / "good.wav").write_bytes(wav_header(sound))
    assert np.abs(read_waveform(tmp_path / "good.wav", 0, 0.5, 8000) - sweep(0.5, 8000)).max() < 1e-3


def test_real_clips_decode(shared: Path) -> None:
    path = shared / "grid_digits" / "videos" / "bbaf2n_000000.mp4"
    with Clip(path) as clip:
        assert clip.duration == pytest.approx(0.64, abs=0.001)
        sound = clip.waveform(0, 0.64, 11_000)
        assert clip.frame().shape == (100, 140, 3)
    assert sound.shape == (7040,)
    assert float(np.sqrt(np.mean(sound[:500] ** 2))) > 0.01  # speech is running when the clip begins
