"""Windows of ten seconds go through everything (spec: 128 x 551 at the published STFT; here few bands)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import limbeck
from limbeck.cli import main
from tests.data.conftest import write_clip

QUICK = ["--kernels", "literal", "--channels", "8", "--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("long") / "made"
    (root / "videos").mkdir(parents=True)
    lines = []
    for k in range(10):
        label = "high" if k % 2 else "low"
        write_clip(root / "videos" / f"c{k}_000000.mp4", seconds=10.0, fps=1, hertz=2000 if k % 2 else 300)
        lines.append(f"c{k},0,{label},{'train' if k < 8 else 'test'}")
    (root / "made.csv").write_text("\n".join(lines))
    return root


def test_ten_seconds_end_to_end(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = str(tmp_path / "data"), str(tmp_path / "run")
    sizes = ["--window", "10", "--image-size", "16", "--n-mels", "16"]
    assert main(["prepare", "vggsound", "--root", str(clips), "--out", data, "--workers", "1", *sizes]) == 0
    assert limbeck.PairedStore.open(data).modalities["audio"].shape == (1, 16, 551)
    steps = ["--per-class", "1", "--steps", "2", "--real-batch", "4", "--init", "random"]
    assert main(["distill", "avdd", "--data", data, "--out", run, *steps, *QUICK]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "--seeds", "0:1", "--json", *QUICK]) == 0
    assert json.loads(capsys.readouterr().out)["mean"]["audio"] >= 0
    assert main(["inspect", run, "--json"]) == 0
    assert "audio 1x16x551" in json.loads(capsys.readouterr().out)["synthetic"]["modalities"]
    assert main(["report", run]) == 0
    assert main(["export", run]) == 0
    sounds, rate = limbeck.load(run).audio()
    assert len(sounds[0]) == 10 * rate
    assert len(list((tmp_path / "run" / "export" / "audio").glob("*.wav"))) == 8
