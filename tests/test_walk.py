"""The whole walk on the embedded data set: what README's first command does, cut short."""

from __future__ import annotations

import csv
import json

import pytest

from limbeck.cli import main


@pytest.mark.slow
def test_distil_evaluate_report_export_load(tmp_path, capsys):
    pytest.importorskip("espeakng_loader")
    run = tmp_path / "run"
    quick = ["--channels", "16", "--kernels", "literal", "--device", "cpu", "--threads", "1"]
    assert main(["distill", "avdd", "--data", "digits", "--steps", "10", "--out", str(run), *quick]) == 0
    protocol = ["--protocol", "recognition-avdd", "--seeds", "0:2", *quick[2:]]
    assert main(["evaluate", str(run), *protocol, "--json"]) == 0
    captured = capsys.readouterr().out
    result = json.loads(captured[captured.index("{\n") :])
    assert result["mean"]["fused"] > 3 * result["chance"]
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "recognition-avdd" in page
    assert page.count("data:audio/wav") >= 10
    assert main(["export", str(run), "--out", str(tmp_path / "files")]) == 0
    with (tmp_path / "files" / "labels.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 40

    import limbeck

    synthetic = limbeck.load(run)
    pictures, (sounds, rate) = synthetic.images(), synthetic.audio()
    assert len(pictures) == len(sounds) == len(synthetic.torch()) == 40
    assert rate == 11025
