"""Preparing sound as ImageBind hears it: clips of Kaldi's filter bank from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.cli import main
from limbeck.data.decode import span_of
from limbeck.data.prepare import prepare
from limbeck.data.rows import Row
from limbeck.data.settings import PrepareSettings, preset
from limbeck.data.store import PairedStore
from limbeck.errors import ConfigError, DataError
from limbeck.modalities import Audio

Make = Callable[..., Path]
KALDI = PrepareSettings(mel="kaldi")
RATE = 16_000


def glide(seconds: float, level: float = 0.3) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return level * np.sin(2 * np.pi * (300 * t + 200 * t**2))


def manifest(root: Path, lines: list[str], header: str = "id,audio,label,split") -> Path:
    (root / "m.csv").write_text("\n".join([header, *lines]))
    return root / "m.csv"


def stored(root: Path, out: str, settings: PrepareSettings = KALDI, **options: str) -> PairedStore:
    return prepare("manifest", root, root.parent / out, settings=settings, workers=1, progress=False, **options)  # type: ignore[arg-type]


def test_clips_of_a_file_are_those_of_its_waveform(wav: Make, tmp_path: Path) -> None:
    left, right = glide(5.0), glide(5.0, 0.1)[::-1]
    wav(tmp_path / "long.wav", np.stack([left, right], 1), RATE)
    wav(tmp_path / "short.wav", glide(0.5), RATE)
    store = stored(manifest(tmp_path, ["long,long.wav,a,train", "short,short.wav,a,train"]), "s")
    audio = store.modalities["audio"]
    assert audio == Audio.kaldi()
    items = store.stored("audio", [list(store.ids).index(name) for name in ("long", "short")]).float()
    heard = torch.from_numpy((np.round(left * 32767 - 0.5) / 32768).astype(np.float32))  # the first channel, 16 bits
    assert isinstance(audio, Audio)
    known = audio.spectrogram(heard)
    loud = known > -8
    assert (items[0] - known)[loud].abs().max() < 0.05
    assert not items[..., 198:].any()
    assert torch.equal(items[1, 0], items[1, 1])
    assert torch.equal(items[1, 0], items[1, 2])
    assert items[1, :, :, :48].any(1).all()
    assert not items[1, :, :, 48:].any()
    batch = store.batch("audio", [0])
    assert torch.allclose(batch, (store.stored("audio", [0]).float() + 4.268) / 9.138)


def test_an_event_bounds_the_clips(wav: Make, tmp_path: Path) -> None:
    wav(tmp_path / "a.wav", glide(8.0), RATE)
    lines = ["whole,a.wav,x,train,,", "part,a.wav,x,train,2,5", "late,a.wav,x,train,5,", "same,a.wav,x,train,2,4"]
    store = stored(manifest(tmp_path, lines, "id,audio,label,split,start,end"), "s")
    where = {name: k for k, name in enumerate(store.ids)}
    clips = {name: store.stored("audio", [k])[0].float() for name, k in where.items()}
    assert torch.allclose(clips["part"][0], clips["same"][0])
    assert torch.equal(clips["same"][0], clips["same"][2])
    assert torch.allclose(clips["part"][2][:, :196], clips["whole"][1][:, :196], atol=0.1)  # both begin at 3 s
    assert torch.allclose(clips["late"][2], clips["whole"][2], atol=0.1)


def test_what_a_row_is_about() -> None:
    def row(start: float | None, end: float | None) -> Row:
        return Row("a", "m.csv", 2, {}, start=start, end=end)

    assert span_of(row(None, None), 9.0) == (0.0, 9.0)
    assert span_of(row(2.0, 4.0), 9.0) == (2.0, 4.0)
    assert span_of(row(2.0, 40.0), 9.0) == (2.0, 9.0)
    assert span_of(row(None, 4.0), 9.0) == (0.0, 4.0)
    with pytest.raises(DataError, match=r"9\.00 s long"):
        span_of(row(9.0, None), 9.0)


def test_bad_sound_is_told_or_left_out(wav: Make, clip: Make, tmp_path: Path) -> None:
    wav(tmp_path / "good.wav", glide(3.0), RATE)
    wav(tmp_path / "silent.wav", np.zeros(3 * RATE), RATE)
    wav(tmp_path / "tiny.wav", glide(0.02), RATE)
    wav(tmp_path / "cut.wav", glide(3.0), RATE)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:40_000])
    clip(tmp_path / "mute.mp4", audio=False)
    names = ["good.wav", "silent.wav", "tiny.wav", "cut.wav", "mute.mp4"]
    rows = [f"{name.split('.')[0]},{name},a,train" for name in names]
    store = stored(manifest(tmp_path, rows), "s", on_error="skip")
    assert list(store.ids) == ["good"]
    reasons = {entry["id"]: entry["reason"] for entry in store.skipped}
    assert "is silent from 0.00 s to 3.00 s" in reasons["silent"]
    assert "0.020 s of sound" in reasons["tiny"]
    assert reasons["cut"]
    assert "no sound" in reasons["mute"]
    with pytest.raises(DataError, match="silent"):
        stored(tmp_path / "m.csv", "other")
    quiet = PrepareSettings(mel="kaldi", allow_silent=True)
    kept = stored(tmp_path / "m.csv", "third", quiet, on_error="skip")
    assert "silent" in kept.ids


def test_settings_fit_each_other() -> None:
    assert (KALDI.sample_rate, KALDI.n_fft, KALDI.hop, KALDI.mel_frames) == (16_000, 400, 160, 204)
    assert (KALDI.sound_clips, KALDI.clip_seconds, KALDI.samples, KALDI.effective_hop) == (3, 2.0, 32_000, 160)
    other = PrepareSettings(mel="kaldi", sound_clips=1, clip_seconds=10.0, frames=1024, n_mels=64)
    assert (other.sound_clips, other.samples, other.mel_frames, other.n_mels) == (1, 160_000, 1024, 64)
    for wrong in ({"sound_clips": 3}, {"clip_seconds": 2.0}):
        with pytest.raises(ConfigError, match="only with mel kaldi"):
            PrepareSettings(**wrong)
    for name, value in (("sound_clips", 0), ("clip_seconds", 0.0), ("clip_seconds", float("nan"))):
        with pytest.raises(ConfigError, match=name):
            PrepareSettings(mel="kaldi", **{name: value})
    with pytest.raises(ConfigError, match="shorter than a window"):
        PrepareSettings(mel="kaldi", clip_seconds=0.02)
    with pytest.raises(ConfigError, match=r"--for: .*imagebnd"):
        preset("imagebnd")


def test_for_imagebind_stands_below_what_is_typed(wav: Make, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    wav(tmp_path / "a.wav", glide(2.5), RATE)
    root = str(manifest(tmp_path, ["a,a.wav,x,train"]))
    words = ["prepare", "manifest", "--root", root, "--workers", "1", "--json", "--for", "imagebind"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["modalities"]["audio"]["shape"] == [3, 128, 204]
    settings = PairedStore.open(tmp_path / "one").settings
    assert [settings[k] for k in ("mel", "normalisation", "text_embedding")] == ["kaldi", "clip", "imagebind"]
    assert main([*words, "--out", str(tmp_path / "two"), "--sound-clips", "1", "--normalisation", "store"]) == 0
    store = PairedStore.open(tmp_path / "two")
    assert store.modalities["audio"].shape == (1, 128, 204)
    assert store.settings["normalisation"] == "store"
    capsys.readouterr()
    assert main([*words[:-1], "imagebound", "--out", str(tmp_path / "three")]) == 2
    assert "imagebind" in capsys.readouterr().err


def test_real_speech_end_to_end(shared_data: Path, tmp_path: Path, small: dict) -> None:
    import limbeck
    from limbeck.export import export
    from limbeck.report import write_report

    names = sorted(p.stem for p in (shared_data / "grid_s1" / "s1").glob("*.mp4"))[:8]
    rows = [
        f"{n},{(shared_data / 'grid_s1' / 's1' / n).resolve()}.mp4,{'ab'[k % 2]},train" for k, n in enumerate(names)
    ]
    settings = PrepareSettings(**{**preset("imagebind"), "image_size": 32, "allow_outside": True})
    store = stored(manifest(tmp_path, rows, "id,video,label,split"), "s", settings)
    audio = store.modalities["audio"]
    assert isinstance(audio, Audio)
    values = store.stored("audio", range(8)).float()
    assert values.shape == (8, 3, 128, 204)
    heard = values[..., :198]
    assert -9 < heard.mean() < -6  # quieter than the constants' -4.27
    assert 3 < heard.std() < 5  # theirs is twice a deviation of 4.57
    sound = audio.waveform(store.batch("audio", [0]))[0].view(3, -1)
    for k in range(3):
        again = audio.spectrogram(sound[k])[0, :, 4:190]
        assert torch.corrcoef(torch.stack([values[0, k, :, 4:190].flatten(), again.flatten()]))[0, 1] > 0.97
    limbeck.distill("dm", data=store, per_class=1, factor=1, steps=1, out=tmp_path / "run", progress=False, **small)
    page = write_report(tmp_path / "run").read_text()
    assert page.count("data:audio/wav") == 4  # two items, and what they began as
    export(tmp_path / "run", tmp_path / "out")
    assert len(list((tmp_path / "out" / "audio").glob("*.wav"))) == 2
